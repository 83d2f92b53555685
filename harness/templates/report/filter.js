'use strict';
// The filter language of the command line, for the page. `fixtures/filters.toml` holds the cases that both must pass.
const Filter = (() => {
  const DEEPEST = 64;
  const LONGEST = 16 << 10;
  const EXTRA_NAMES = ['id', 'verdict'];
  const SIGNS = [
    ['>=', (order) => order >= 0],
    ['<=', (order) => order <= 0],
    ['>', (order) => order > 0],
    ['<', (order) => order < 0],
  ];

  /** What is wrong with a filter, and where: in UTF-16 units from its beginning. */
  class Fault extends Error {
    constructor(position, message) {
      super(message);
      this.position = position;
    }
  }

  /** Builds before dotted versions; trailing zeros do not count. `null` where the text is no version. */
  const versionKey = (text) => {
    const number = (digits) => (/^\d+$/.test(digits) ? BigInt(digits) : null);
    if (text.startsWith('b')) {
      const build = number(text.slice(1));
      return build === null ? null : [0n, build];
    }
    const numbers = text.replace(/^v/, '').split('.').map(number);
    if (numbers.includes(null)) return null;
    while (numbers.at(-1) === 0n) numbers.pop();
    return [1n, ...numbers];
  };
  const compare = (left, right) => {
    for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
      if (left[i] === undefined) return -1;
      if (right[i] === undefined) return 1;
      if (left[i] !== right[i]) return left[i] < right[i] ? -1 : 1;
    }
    return 0;
  };

  /** The same expression in JavaScript's dialect. */
  const expression = (pattern) => {
    const inline = /^\(\?([ims]+)\)/.exec(pattern);
    const body = (inline ? pattern.slice(inline[0].length) : pattern)
      .replaceAll('(?P<', '(?<')
      .replace(/\\(.)/gsu, (all, letter) => ({
        d: '\\p{Nd}', D: '\\P{Nd}', A: '^', z: '$',
      })[letter] ?? (/[\w^$\\.*+?()[\]{}|/]/.test(letter) ? all : letter));
    return new RegExp(body, `u${inline ? inline[1] : ''}`);
  };
  const glob = (pattern) => new RegExp(`^${[...pattern].map((character) => (
    { '*': '.*', '?': '.' }[character] ?? character.replace(/[\\^$.+()[\]{}|/]/u, '\\$&'))).join('')}$`, 'su');

  class Parser {
    constructor(text) {
      this.text = text;
      this.at = 0;
    }

    fail(message, at = this.at) {
      throw new Fault(at, message);
    }

    take(sign) {
      if (!this.text.startsWith(sign, this.at)) return false;
      this.at += sign.length;
      return true;
    }

    pattern(sticky) {
      sticky.lastIndex = this.at;
      const [found] = sticky.exec(this.text);
      this.at += found.length;
      return found;
    }

    space() { this.pattern(/[ \t\r\n]*/y); }

    name() { return this.pattern(/[A-Za-z0-9_]*/y); }

    operator(signs, word) {
      this.space();
      if (signs.some((sign) => this.take(sign))) return true;
      const start = this.at;
      if (this.name() === word) return true;
      this.at = start;
      return false;
    }

    disjunction(depth) {
      let left = this.conjunction(depth);
      while (this.operator(['||', '|'], 'or')) left = { or: [left, this.conjunction(depth)] };
      return left;
    }

    conjunction(depth) {
      let left = this.negation(depth);
      while (this.operator(['&&', '&'], 'and')) left = { and: [left, this.negation(depth)] };
      return left;
    }

    negation(depth) {
      if (depth > DEEPEST) this.fail(`nested deeper than ${DEEPEST} levels`);
      this.space();
      if (this.take('!')) return { not: this.negation(depth + 1) };
      if (!this.take('(')) return this.predicate(depth);
      const inner = this.disjunction(depth + 1);
      this.space();
      if (!this.take(')')) this.fail('expected `)`');
      return inner;
    }

    predicate(depth) {
      const start = this.at;
      const name = this.name();
      if (name === 'not') return { not: this.negation(depth + 1) };
      if (name === '') this.fail('expected a predicate such as `model(llama)`, `!` or `(`');
      if (!this.take('(')) this.fail(`expected \`(\` after \`${name}\``);
      if (this.text[this.at] === ')') {
        if (name === 'changed') {
          this.at += 1;
          return { name, start, matches: () => true };
        }
        if (name !== 'all' && name !== 'none') this.fail(`\`${name}\` needs a value, such as \`${name}(=text)\``);
        this.at += 1;
        return { constant: name === 'all' };
      }
      const exact = [];
      const matchers = [this.matcher(exact)];
      while (!this.take(')')) {
        if (!this.take('|')) this.fail('expected `|` or `)` after the value');
        matchers.push(this.matcher(exact));
      }
      return { name, start, exact, matches: (value) => matchers.some((matcher) => matcher(value)) };
    }

    /** A test of a value; where it names one, that goes to `exact` with its place. */
    matcher(exact) {
      this.space();
      const start = this.at;
      for (const [sign, holds] of SIGNS) {
        if (this.take(sign)) return this.version(start, holds);
      }
      if (this.take('/')) return this.regex(start);
      const kind = ['=', '~', '#'].find((sign) => this.take(sign));
      const text = this.value();
      if (kind === '~') return (value) => value.includes(text);
      if (kind !== '#') {
        exact.push({ text, start });
        return (value) => value === text;
      }
      const whole = glob(text);
      return (value) => whole.test(value);
    }

    version(start, holds) {
      const text = this.value();
      const key = versionKey(text);
      if (key === null) this.fail(`\`${text}\` is not a version, such as 1.1 or b8816`, start);
      return (value) => {
        const other = versionKey(value);
        return other !== null && holds(compare(other, key));
      };
    }

    /** Text up to an unescaped `)` or `|`, without the spaces around it. */
    value() {
      this.space();
      let text = '';
      let kept = 0;
      for (;;) {
        if (this.at >= this.text.length) this.fail('expected `)`');
        const character = String.fromCodePoint(this.text.codePointAt(this.at));
        if (character === ')' || character === '|') break;
        this.at += character.length;
        if (character !== '\\') {
          text += character;
          if (!/\s/u.test(character)) kept = text.length;
          continue;
        }
        if (this.at >= this.text.length) this.fail('a backslash needs a character after it');
        const literal = String.fromCodePoint(this.text.codePointAt(this.at));
        this.at += literal.length;
        text += literal;
        kept = text.length;
      }
      if (kept === 0) this.fail('expected a value');
      return text.slice(0, kept);
    }

    /** An expression between slashes; `\/` is a slash in it. */
    regex(start) {
      let pattern = '';
      for (;;) {
        if (this.at >= this.text.length) this.fail('expected `/` at the end of the expression');
        const character = this.text[this.at];
        this.at += 1;
        if (character === '/') break;
        pattern += character;
        if (character === '\\' && this.at < this.text.length) {
          pattern += this.text[this.at];
          this.at += 1;
        }
      }
      try {
        const found = expression(pattern);
        return (value) => found.test(value);
      } catch (error) {
        return this.fail(`not a regular expression: ${error.message}`, start);
      }
    }
  }

  /** Reads a filter. Throws a [`Fault`]. */
  const parse = (text) => {
    if (new TextEncoder().encode(text).length > LONGEST) throw new Fault(0, `it is longer than ${LONGEST} bytes`);
    const parser = new Parser(text);
    const filter = parser.disjunction(0);
    parser.space();
    if (parser.at < text.length) parser.fail('expected `&`, `|` or the end');
    return filter;
  };

  /** The predicate on a name that is not known, if there is one. */
  const unknown = (filter, known) => {
    const inner = filter.and ?? filter.or ?? (filter.not ? [filter.not] : []);
    if (filter.name !== undefined && !known.includes(filter.name) && !EXTRA_NAMES.includes(filter.name)) return filter;
    return inner.map((part) => unknown(part, known)).find(Boolean);
  };

  /** The first value that is named and that `values(name)` does not have; names without such a list are not looked at. */
  const missing = (filter, values) => {
    const inner = filter.and ?? filter.or ?? (filter.not ? [filter.not] : []);
    const known = filter.name === undefined ? null : values(filter.name);
    const found = known && filter.exact?.find(({ text }) => !known.includes(text));
    return found ? { ...found, name: filter.name, known } : inner.map((part) => missing(part, values)).find(Boolean);
  };

  /**
   * A function from what `columns` names to whether the filter selects it. `columns(name, test)` gives such a function
   * for one name, or `null` where nothing has that name.
   */
  const compile = (filter, columns) => {
    if (filter.constant !== undefined) return () => filter.constant;
    if (filter.not) {
      const inner = compile(filter.not, columns);
      return (cell) => !inner(cell);
    }
    if (filter.name !== undefined) return columns(filter.name, filter.matches) ?? (() => false);
    const [left, right] = (filter.and ?? filter.or).map((part) => compile(part, columns));
    return filter.and ? (cell) => left(cell) && right(cell) : (cell) => left(cell) || right(cell);
  };

  /** Whether a text is words to look for, and no expression: one has parentheses. */
  const isWords = (text) => !/[()&|!]/.test(text);

  return { parse, compile, unknown, missing, isWords, Fault };
})();
