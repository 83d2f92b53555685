'use strict';
// Documents that came with the page: JSON, deflated, as base64.
const Packed = (() => {
  const bytes = (text) => {
    const binary = atob(text);
    const all = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i += 1) all[i] = binary.charCodeAt(i);
    return all;
  };

  /** Reads the document in the element of this id, which is emptied: it is read once. */
  const read = async (id) => {
    const element = document.getElementById(id);
    const packed = new Blob([bytes(element.textContent)]);
    element.textContent = '';
    const unpacked = packed.stream().pipeThrough(new DecompressionStream('deflate'));
    return JSON.parse(await new Response(unpacked).text());
  };

  return { read };
})();
