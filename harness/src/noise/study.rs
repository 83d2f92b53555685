//! One study, case by case.

use std::path::PathBuf;

use intact_format::gguf::Gguf;
use intact_format::identity::KvShape;
use intact_format::transcode::HeadSizes;
use intact_protocol::Settings;

use super::cases::{
    self, Form, ROTATION, ROUTES, Route, SAME, SESSION, SPOILT, Wrong, harmless, with, wrongs,
};
use super::conversation::{OTHER, TALK};
use super::desk::{Desk, Held, SessionSetup};
use super::image::{Image, Spoil};
use super::measure::{Layers, of_logits};
use super::{Figure, Finding, Kind, Study, StudyError, View};

/// What is studied, and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The model.
    pub model: PathBuf,
    /// What it is called.
    pub name: String,
    /// The same model with weights in f16, to draw adapters for; none leaves the adapters out.
    pub unquantized: Option<PathBuf>,
    /// The worker.
    pub worker: PathBuf,
    /// Its release.
    pub release: String,
    /// Workers of other releases, by name.
    pub others: Vec<(String, Vec<String>)>,
    /// A folder for what is made on the way.
    pub scratch: PathBuf,
    /// What changes of the weights are drawn from.
    pub seed: u64,
    /// Threads that evaluate tokens.
    pub threads: u32,
    /// Studies only routes whose names contain this.
    pub only: Option<String>,
}

/// Is told how it goes.
pub trait Watch {
    /// A case was measured.
    fn found(&self, finding: &Finding);
    /// Something was left out.
    fn left_out(&self, what: &str);
}

/// Studies a model.
///
/// # Errors
/// [`StudyError`], where not even an uninterrupted session can be held. What cannot be done on one route is left out, and
/// said to be.
pub fn study(options: &Options, watch: &dyn Watch) -> Result<Study, StudyError> {
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let across = |release: &str, what: &str| format!("release → {release}, {what}");
    let crossings = options.others.iter().flat_map(|(name, _)| FORMS.map(|(what, _)| across(name, what)));
    let names: Vec<String> = ROUTES.iter().map(|route| route.name.to_owned()).chain(crossings).collect();
    if let Some(only) = options.only.as_ref().filter(|_| !names.iter().any(|name| wanted(name))) {
        return Err(StudyError::NoRoute { only: only.clone(), known: names.join("; ") });
    }
    let gguf = Gguf::open(&options.model)?;
    let heads = HeadSizes::of(&KvShape::of(&gguf)?);
    let base = SessionSetup::new(&options.worker, &options.model, options.threads);
    let wrongs = wrongs(&options.model, options.unquantized.as_deref(), &options.scratch, options.seed)?;
    let study = Study {
        model: options.name.clone(),
        weights: gguf.quantization(),
        release: options.release.clone(),
        findings: Vec::new(),
        left_out: Vec::new(),
    };
    let desk = Desk::new(&options.scratch, Some(heads));
    let mut bench = Bench { desk, base, wrongs, noise: Layers::default(), study, watch };
    if options.unquantized.is_none() {
        bench.leave_out("adapters", "there is no form of the weights to draw them for");
    }
    bench.batch_shapes()?;
    for route in ROUTES.iter().filter(|route| wanted(route.name)) {
        let reader = route.reader.of(&bench.base);
        bench.route(route, route.name, &reader);
    }
    for (name, command) in &options.others {
        for (what, form) in FORMS {
            let reader = SessionSetup { command: command.clone(), ..form.of(&bench.base) };
            let route = Route { name: SAME, writer: form, reader: form, thorough: false };
            let name = across(name, what);
            if wanted(&name) {
                bench.route(&route, &name, &reader);
            }
        }
    }
    bench.desk.leave();
    Ok(bench.study)
}

/// How sessions are kept that another release reads.
const FORMS: [(&str, Form); 3] = [("f16", Form::F16), ("q8_0", Form::Q8_0), ("q4_0", Form::Q4_0)];

struct Bench<'w> {
    desk: Desk,
    base: SessionSetup,
    wrongs: Vec<Wrong>,
    /// What each layer's noise is: between sessions that were evaluated in batches of other shapes.
    noise: Layers,
    study: Study,
    watch: &'w dyn Watch,
}

/// A route under study.
struct Under<'r> {
    name: &'r str,
    thorough: bool,
    same: bool,
    writer: SessionSetup,
    reader: &'r SessionSetup,
    /// What the reader itself says.
    own: Held,
    noise: Layers,
}

/// Who saved what is restored.
struct Case<'c> {
    kind: Kind,
    name: &'c str,
    caught_by: Option<&'static str>,
}

impl Bench<'_> {
    /// Measures the noise of each layer.
    fn batch_shapes(&mut self) -> Result<(), StudyError> {
        let setup = Form::F16.of(&self.base);
        let one = self.desk.hold(&setup, &TALK)?;
        for (_, settings) in harmless(true) {
            if settings.n_ubatch.is_some() {
                let other = self.desk.hold(&with(&setup, &settings), &TALK)?;
                self.noise = self.noise.or(&Layers::between(&other.image.state()?, &one.image.state()?)?);
            }
        }
        Ok(())
    }

    /// Studies one route; where it cannot be, that is noted.
    fn route(&mut self, route: &Route, name: &str, reader: &SessionSetup) {
        if let Err(error) = self.try_route(route, name, reader) {
            self.leave_out(name, &error.to_string());
        }
    }

    fn try_route(&mut self, route: &Route, name: &str, reader: &SessionSetup) -> Result<(), StudyError> {
        let own = self.desk.hold(reader, &TALK)?;
        let writer = route.writer.of(&self.base);
        let saved = self.desk.hold(&writer, &TALK)?;
        let noise = self.noise.or(&Layers::between(&saved.image.state()?, &own.image.state()?)?);
        let under = Under { name, thorough: route.thorough, same: name == SAME, writer, reader, own, noise };
        let case = Case { kind: Kind::Right, name: "as it is", caught_by: None };
        if !under.same {
            self.sound(&under, &case, &saved);
        }
        for (name, settings) in harmless(under.same) {
            let case = Case { kind: Kind::Right, name, caught_by: None };
            self.written(&under, &case, None, &settings);
        }
        let wrongs = self.wrongs.clone();
        for wrong in wrongs.iter().filter(|wrong| under.thorough || wrong.everywhere) {
            let case = Case { kind: Kind::Wrong, name: &wrong.name, caught_by: Some(wrong.caught_by) };
            self.written(&under, &case, wrong.model.as_ref(), &wrong.settings);
        }
        let other = self.desk.hold(&under.writer, &OTHER)?;
        let case = Case { kind: Kind::Wrong, name: "another session's cells", caught_by: Some(SESSION) };
        let image = saved.image.with_cells_of(&other.image, &under.own.image);
        self.spoilt(&under, &case, &saved, image);
        for (name, spoil, is_content, caught_by) in SPOILT {
            if under.thorough || is_content {
                let kind = if is_content { Kind::Wrong } else { Kind::Damage };
                let image = saved.image.spoilt(spoil, &under.own.image);
                self.spoilt(&under, &Case { kind, name, caught_by: Some(caught_by) }, &saved, image);
            }
        }
        if rotations(&saved.image)? != rotations(&under.own.image)?
            && kinds(&saved.image)? == kinds(&under.own.image)?
        {
            let case = Case { kind: Kind::Wrong, name: "rotation misread", caught_by: Some(ROTATION) };
            let image = saved.image.spoilt(Spoil::Misread, &under.own.image);
            self.spoilt(&under, &case, &saved, image);
        }
        Ok(())
    }

    /// A session of a writer with another model or other settings, restored by the reader.
    fn written(&mut self, under: &Under<'_>, case: &Case<'_>, model: Option<&PathBuf>, settings: &Settings) {
        let mut setup = with(&under.writer, settings);
        if let Some(model) = model {
            setup.model.clone_from(model);
        }
        match self.desk.hold(&setup, &TALK) {
            Ok(saved) => self.sound(under, case, &saved),
            Err(error) => self.leave_out(&format!("{}: {}", under.name, case.name), &error.to_string()),
        }
    }

    /// A session as it was saved.
    fn sound(&mut self, under: &Under<'_>, case: &Case<'_>, saved: &Held) {
        let figures = saved.image.like(&under.own.image).and_then(|image| {
            let mut figures = self.restored(under, saved, &image)?;
            figures.extend(seen(View::Again, of_logits(&saved.logits, &under.own.logits)));
            Ok(figures)
        });
        self.note(under, case, figures);
    }

    /// A session whose image is not the one that was saved.
    fn spoilt(&mut self, under: &Under<'_>, case: &Case<'_>, saved: &Held, image: Result<Image, StudyError>) {
        let figures = image.and_then(|image| self.restored(under, saved, &image));
        self.note(under, case, figures);
    }

    fn restored(
        &mut self,
        under: &Under<'_>,
        saved: &Held,
        image: &Image,
    ) -> Result<Vec<Figure>, StudyError> {
        let layers = Layers::between(&image.state()?, &under.own.image.state()?)?;
        let mut figures = seen(View::Cells, layers.measures(&under.noise));
        let after = self.desk.restore(under.reader, saved, image)?;
        figures.extend(seen(View::Restored, of_logits(&saved.logits, &after)));
        Ok(figures)
    }

    fn note(&mut self, under: &Under<'_>, case: &Case<'_>, figures: Result<Vec<Figure>, StudyError>) {
        match figures {
            Ok(figures) => {
                let finding = Finding {
                    route: under.name.to_owned(),
                    kind: case.kind,
                    case: case.name.to_owned(),
                    caught_by: case.caught_by.map(str::to_owned),
                    figures,
                };
                self.watch.found(&finding);
                self.study.findings.push(finding);
            }
            Err(error) => self.leave_out(&format!("{}: {}", under.name, case.name), &error.to_string()),
        }
    }

    fn leave_out(&mut self, what: &str, why: &str) {
        let line = format!("{what}: {why}");
        self.watch.left_out(&line);
        self.study.left_out.push(line);
    }
}

fn seen(view: View, measures: Vec<(super::Measure, f64)>) -> Vec<Figure> {
    measures.into_iter().map(|(measure, value)| Figure { view, measure, value }).collect()
}

/// The rotations of the caches of an image.
fn rotations(image: &Image) -> Result<Vec<Option<intact_format::layout::Rotation>>, StudyError> {
    Ok(cases::caches(&image.state()?).map(|cache| cache.rotation).collect())
}

/// The types of the caches of an image.
fn kinds(image: &Image) -> Result<Vec<Option<i32>>, StudyError> {
    Ok(cases::caches(&image.state()?).map(|cache| cache.keys.first().map(|keys| keys.kind.0)).collect())
}
