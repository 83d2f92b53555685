//! What evaluates a model.

/// A device of ggml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) kind: Kind,
    /// Name of the ggml backend that it belongs to.
    pub(super) name: String,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The processor.
    Processor,
    /// It takes over some of the processor's work, whatever is asked for: BLAS, AMX.
    Helper,
    /// It has memory of its own, or most of the work: a GPU.
    Accelerator,
}

/// The backends that evaluate a model of so many layers, of which `offloaded` were asked to be on an accelerator (below 0:
/// all of them). `CPU` where it is nothing but the processor.
pub(super) fn backends(devices: &[Device], offloaded: i32, layers: u32) -> String {
    let named = |kind: Kind| {
        let mut names: Vec<&str> =
            devices.iter().filter(|device| device.kind == kind).map(|device| device.name.as_str()).collect();
        names.dedup();
        names
    };
    let accelerators = if offloaded == 0 { Vec::new() } else { named(Kind::Accelerator) };
    // The layer of the output counts as one more.
    let part = u32::try_from(offloaded).ok().filter(|&offloaded| offloaded <= layers);
    let mut names: Vec<String> = match part {
        Some(part) => {
            accelerators.iter().map(|name| format!("{name} for {part} of {} layers", layers + 1)).collect()
        }
        None => accelerators.iter().map(|name| (*name).to_owned()).collect(),
    };
    if names.is_empty() || part.is_some() {
        names.push("CPU".to_owned());
    }
    names.extend(named(Kind::Helper).into_iter().map(str::to_owned));
    names.join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_evaluates_a_model_is_named() {
        let device = |kind, name: &str| Device { kind, name: name.to_owned() };
        let processor = device(Kind::Processor, "CPU");
        let (metal, blas) = (device(Kind::Accelerator, "Metal"), device(Kind::Helper, "BLAS"));
        let cuda = device(Kind::Accelerator, "CUDA");
        let table = [
            (vec![processor.clone()], 99, "CPU"),
            (vec![processor.clone()], 0, "CPU"),
            (vec![metal.clone(), blas.clone(), processor.clone()], -1, "Metal + BLAS"),
            (vec![metal.clone(), blas, processor.clone()], 0, "CPU + BLAS"),
            (vec![metal, processor.clone()], 99, "Metal"),
            (vec![cuda.clone(), cuda.clone(), processor.clone()], 33, "CUDA"),
            (vec![cuda, processor], 10, "CUDA for 10 of 33 layers + CPU"),
            (Vec::new(), -1, "CPU"),
        ];
        for (devices, offloaded, expected) in table {
            assert_eq!(backends(&devices, offloaded, 32), expected, "{devices:?} {offloaded}");
        }
    }
}
