//! What each request does.

use std::collections::BTreeMap;
use std::time::Instant;

use intact_engine::adopt::Proof;
use intact_engine::llama::Container;
use intact_engine::{
    AdoptOptions, CancelToken, Engine, EngineError, Generation, Hooks, LoadOptions, LoadParameters, Preset,
    Replace, SaveOptions, Session, StartOptions, Survey,
};
use intact_engine::{llama, passport};
use intact_format::inputs::TemplateInputs;
use intact_format::parameters::Parameters;
use intact_format::route::LoadPolicy;
use intact_format::version::{FormatVersion, VersionParseError};
use intact_protocol::{
    AFRESH, Adopt, Adopted, Check, Checked, CleanUp, Floor, Give, Hello, Load, Loaded, Logits, Open, Opened,
    Outcome, PROTOCOL, ParameterSource, Receipt, Refusal, Replied, Request, Said, Save, Saved, Say, Score,
    Scored, Start, Timings,
};

use crate::Subject;
use crate::damage::Damage;
use crate::outcome::{
    axis, failure, history, inputs, message, receipt, small, timings, told, unsupported, unwritten,
};
use crate::pace::{self, Delay, LARGEST_FLOOR, Waste, timed, total};
use crate::settings::{context_parameters, sample_as};

/// A worker's state: the engine, once a model is open.
pub(crate) struct Server {
    subject: Subject,
    container: Container,
    load_delay: Delay,
    sabotage: Sabotage,
    /// What the system keeps it from, as features.
    caged: Vec<String>,
    engine: Option<Engine>,
}

/// What is done wrong on purpose: shows that the checks and the judge notice.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Sabotage {
    /// Zero a part of what a load has restored, after every check.
    #[arg(long, hide = true, value_enum)]
    damage: Option<Damage>,
    /// Take the weights of every model for those with this SHA-256: what the hash says is no help then.
    #[arg(long, hide = true, value_name = "SHA-256")]
    assume_weights: Option<String>,
    /// Do more than is needed in every load.
    #[arg(long, hide = true, value_enum)]
    waste: Option<Waste>,
}

/// An outcome that is no success, on its way out of a handler.
type Failure = Box<Outcome>;

/// Operations that the blind path does not have.
const VERIFYING: [&str; 2] = ["adopt", "check"];

impl Server {
    pub(crate) fn new(subject: Subject, container: Container, load_delay: Delay) -> Self {
        Self {
            subject,
            container,
            load_delay,
            sabotage: Sabotage::default(),
            caged: Vec::new(),
            engine: None,
        }
    }

    /// One that does this wrong.
    pub(crate) fn sabotaged(self, sabotage: Sabotage) -> Self {
        Self { sabotage, ..self }
    }

    /// One that the system keeps from these things.
    pub(crate) fn caged(self, caged: Vec<String>) -> Self {
        Self { caged, ..self }
    }

    /// Carries out one request. `event` gets the pieces of a streamed reply.
    pub(crate) fn handle(&mut self, request: Request, event: &mut dyn FnMut(&str)) -> Outcome {
        let replied = match request {
            Request::Hello(_) => Ok(Replied::Hello(self.hello())),
            Request::Open(open) => self.open(*open).map(Replied::Open),
            Request::Start(start) => self.start(start).map(|()| Replied::Start),
            Request::Give(give) => self.give(give).map(|()| Replied::Give),
            Request::CleanUp(clean_up) => self.clean_up(&clean_up).map(|()| Replied::CleanUp),
            Request::Say(say) => self.say(say, event).map(Replied::Say),
            Request::Save(save) => self.save(save).map(Replied::Save),
            Request::Load(load) => self.load(&load).map(Replied::Load),
            Request::Adopt(adopt) => self.adopt(adopt).map(Replied::Adopt),
            Request::Check(check) => self.check(&check).map(Replied::Check),
            Request::Score(score) => self.score(score).map(Replied::Score),
            Request::Forget(forget) => self
                .engine()
                .and_then(|engine| engine.close(&forget.session).map_err(failed))
                .map(|()| Replied::Forget),
            Request::Floor(floor) => floored(floor).map(Replied::Floor),
            Request::Bye => Ok(Replied::Bye),
        };
        match replied {
            Ok(result) => Outcome::Ok { result: Box::new(result) },
            Err(failure) => *failure,
        }
    }

    fn hello(&self) -> Hello {
        let blind = self.subject == Subject::Blind;
        let operations =
            Request::OPERATIONS.iter().filter(|operation| !(blind && VERIFYING.contains(operation)));
        let llama = llama::release();
        let formats: Vec<String> = FormatVersion::ALL.iter().map(ToString::to_string).collect();
        Hello {
            protocol: PROTOCOL,
            subject: if blind { "blind" } else { "engine" }.to_owned(),
            version: passport::ENGINE_VERSION.to_owned(),
            release: llama.release.to_string(),
            versions: BTreeMap::from([(llama.vendor.to_owned(), llama.version.to_string())]),
            operations: operations.map(|operation| (*operation).to_owned()).collect(),
            formats: if blind { Vec::new() } else { formats },
            features: [vec![AFRESH.to_owned()], self.caged.clone()].concat(),
        }
    }

    fn open(&mut self, open: Open) -> Result<Opened, Failure> {
        self.engine = None;
        let context = context_parameters(&open.settings, &open.model)
            .map_err(|error| refused("kv-type-unknown", &error.to_string()))?;
        let (preset, mut parameters) = match open.preset {
            None => (None, Parameters::default()),
            Some(name) => {
                let preset =
                    Preset::by_name(&name).map_err(|error| refused("preset-unknown", &error.to_string()))?;
                (Some(preset.family()), preset.parameters)
            }
        };
        if let Some(sampling) = &open.settings.sampling {
            sample_as(&mut parameters.sampler_parameters, sampling);
        }
        let mut options = Engine::builder(open.model)
            .lora(open.settings.lora.clone())
            .control_vectors(open.settings.control_vectors.clone())
            .parameters(parameters)
            .context(context)
            .control_tokens_in_content(open.control_tokens_in_content)
            .hooks(Hooks {
                assumed_sha256: self.sabotage.assume_weights.clone(),
                fragmented: open.settings.fragmented,
                forget_layouts: open.forget_layouts,
                chat_template: None,
            });
        (options.model_repository, options.preset) = (open.model_repo, preset);
        let mut engine = options.build().map_err(failed)?;
        let Survey { passport, probe, memory, .. } = engine.survey().map_err(failed)?;
        let opened = Opened {
            architecture: passport.model.architecture,
            memory: memory.name().to_owned(),
            n_vocab: small(engine.model().n_vocab()),
            n_ctx: passport.cache.n_ctx,
            window: memory.window.filter(|window| *window > 0).map(small),
            layout: probe.describe(),
            notes: [overridden(&open.settings, passport.cache.n_ctx), engine.notes()].concat(),
        };
        self.engine = Some(engine);
        Ok(opened)
    }

    fn start(&mut self, start: Start) -> Result<(), Failure> {
        let mut options = StartOptions::default().id(start.session);
        options.system_prompt = start.system;
        self.engine()?.start(options).map_err(failed)?;
        Ok(())
    }

    fn give(&mut self, give: Give) -> Result<(), Failure> {
        let inputs = inputs(give.inputs).map_err(|refusal| Box::new(Outcome::Refused(refusal)))?;
        let engine = self.engine()?;
        if engine.session(&give.session).is_ok() {
            let session = engine.session_mut(&give.session).map_err(failed)?;
            let before = session.inputs().unwrap_or_default();
            let inputs = TemplateInputs {
                tools: inputs.tools.or(before.tools),
                arguments: inputs.arguments.or(before.arguments),
                date: inputs.date.or(before.date),
            };
            return session.set_inputs(&inputs).map_err(failed);
        }
        let mut options = StartOptions::default().id(give.session).inputs(inputs);
        options.system_prompt = give.system;
        engine.start(options).map_err(failed)?;
        Ok(())
    }

    fn clean_up(&mut self, clean_up: &CleanUp) -> Result<(), Failure> {
        let strategy = serde_json::from_value(serde_json::Value::String(clean_up.strategy.clone()))
            .map_err(|error| refused("strategy-unknown", &error.to_string()))?;
        self.engine()?.session_mut(&clean_up.session).map_err(failed)?.clean_up(strategy).map_err(failed)?;
        Ok(())
    }

    fn say(&mut self, say: Say, event: &mut dyn FnMut(&str)) -> Result<Said, Failure> {
        let engine = self.engine()?;
        if engine.session(&say.session).is_err() {
            let mut options = StartOptions::default().id(say.session.clone());
            options.system_prompt = say.system;
            engine.start(options).map_err(failed)?;
        }
        let cancel = CancelToken::new();
        if say.cancel_after == Some(0) {
            cancel.cancel();
        }
        // A cancelled reply is made of whole pieces of text, each of at least one token.
        let mut left = say.cancel_after;
        let started = Instant::now();
        let mut first_text = None;
        let mut told = |piece: &str| {
            first_text.get_or_insert_with(|| started.elapsed());
            if say.stream {
                event(piece);
            }
            left = left.map(|left| left.saturating_sub(1));
            if left == Some(0) {
                cancel.cancel();
            }
        };
        let mut generation = Generation::default().greedy(say.greedy).cancel(cancel.clone());
        (generation.forced, generation.max_tokens) = (say.reply, say.max_tokens);
        let reply = engine.send_to(&say.session, &say.text, &generation, &mut told).map_err(failed)?;
        let mut timings = total(started.elapsed().into());
        let first_text = first_text.map(|first| ("first-text".to_owned(), first.as_secs_f64()));
        timings.steps.extend(first_text);
        let tokens_evaluated = u32::try_from(reply.tokens_evaluated).unwrap_or(u32::MAX);
        Ok(Said {
            text: reply.text,
            tokens: small(reply.tokens),
            tokens_evaluated,
            notes: reply.notes,
            timings,
        })
    }

    fn save(&mut self, save: Save) -> Result<Saved, Failure> {
        let (subject, container) = (self.subject, self.container);
        let engine = self.engine()?;
        if subject == Subject::Blind {
            let (files, took) =
                timed(|| engine.blind_save(&save.session, &save.path, container)).map_err(blindly)?;
            let bytes = files.iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
            let tokens = small(engine.session(&save.session).map_err(failed)?.timeline().tokens().len());
            return Ok(Saved {
                files: files.to_vec(),
                bytes,
                tokens,
                parameters: None,
                notes: Vec::new(),
                timings: total(took),
            });
        }
        let format =
            save.format.as_deref().map(str::parse::<FormatVersion>).transpose().map_err(unknown_format)?;
        let replace = if save.own { Replace::Own } else { Replace::Any };
        let mut options = SaveOptions::default().path(save.path).manifest(save.manifest).replace(replace);
        options.format = format;
        let (saved, took) = timed(|| engine.save(&save.session, &options)).map_err(failed)?;
        if let Some(harm) = harm(engine.session(&save.session).map_err(failed)?)? {
            return Err(Box::new(Outcome::error(format!("while the session was saved: {harm}"))));
        }
        let keeps_parameters = format.is_none_or(|format| format >= FormatVersion::V2_0);
        let parameters = engine.session(&save.session).map_err(failed)?.parameters().digest();
        Ok(Saved {
            files: saved.files,
            bytes: saved.bytes,
            tokens: small(saved.tokens),
            parameters: keeps_parameters.then(|| parameters.to_string()),
            notes: saved.notes,
            timings: timings(&saved.timings, took),
        })
    }

    fn load(&mut self, load: &Load) -> Result<Loaded, Failure> {
        let (subject, container, delay) = (self.subject, self.container, self.load_delay);
        let (damage, waste) = (self.sabotage.damage, self.sabotage.waste);
        let engine = self.engine()?;
        let (session, receipt) = if subject == Subject::Blind {
            #[expect(unsafe_code, reason = "the blind subject is there to show what comes of it")]
            // SAFETY: nobody vouches for the file. This process is one that may die of it: it holds nothing else, and the
            // harness takes its death for a verdict.
            let (loaded, took) =
                timed(|| unsafe { engine.blind_load(&load.path, load.session.as_deref(), container) })
                    .map_err(blindly)?;
            let receipt = Receipt {
                route: "blind".to_owned(),
                axes: Vec::new(),
                tokens_restored: small(loaded.tokens_restored),
                tokens_evaluated: 0,
                canary_distance: None,
                parameters: None,
                notes: Vec::new(),
                timings: total(took),
            };
            (loaded.id.to_string(), receipt)
        } else {
            let reader = load.reader_format.as_deref().map(str::parse).transpose().map_err(unknown_format)?;
            let parameters = match load.parameters {
                ParameterSource::Saved => LoadParameters::Saved,
                ParameterSource::Preset => LoadParameters::Preset,
                ParameterSource::Defaults => LoadParameters::Defaults,
            };
            let policy = policy(load.routes.as_deref())?;
            let mut options =
                LoadOptions::default().policy(policy).parameters(parameters).manifest(load.manifest);
            options.reader_format = reader;
            let (loaded, took) = timed(|| {
                let started = Instant::now();
                let loaded = engine.load(&load.path, &options);
                delay.apply(started);
                waste.iter().copied().for_each(Waste::apply);
                loaded
            })
            .map_err(failed)?;
            (loaded.id.to_string(), receipt(loaded.receipt, took))
        };
        if let Some(damage) = damage.filter(|_| receipt.tokens_restored > 0) {
            let struck = damage.strike(engine, &session);
            struck.map_err(|message| Box::new(Outcome::error(message)))?;
        }
        let live = engine.session(&session).map_err(failed)?;
        let messages = history(live.chat().messages());
        Ok(Loaded { harm: harm(live)?, session, receipt, history: Some(messages) })
    }

    fn adopt(&mut self, adopt: Adopt) -> Result<Adopted, Failure> {
        if self.subject == Subject::Blind {
            return Err(Box::new(unsupported("the blind path verifies nothing, so it adopts nothing")));
        }
        let history = adopt.history.map(|messages| messages.into_iter().map(message).collect());
        let mut options = AdoptOptions::default().id(adopt.session);
        options.history = history;
        let given = adopt.inputs.map(inputs).transpose();
        options.inputs = given.map_err(|refusal| Box::new(Outcome::Refused(refusal)))?;
        let adopted = self.engine()?.adopt(&adopt.path, &options).map_err(failed)?;
        let Proof { cells, allowed, logits, .. } = adopted.proof;
        Ok(Adopted {
            session: adopted.id.to_string(),
            what: adopted.what,
            writers: adopted.writers,
            tokens: small(adopted.tokens),
            tokens_restored: small(adopted.restored),
            cells_compared: small(cells.cells),
            nmse_k: cells.keys,
            nmse_v: cells.values,
            nmse_allowed: allowed.any,
            logprob_distance: logits.max_logprob,
            notes: adopted.notes,
        })
    }

    fn check(&mut self, check: &Check) -> Result<Checked, Failure> {
        if self.subject == Subject::Blind {
            return Err(Box::new(unsupported("the blind path checks nothing")));
        }
        let options =
            LoadOptions::default().policy(policy(check.routes.as_deref())?).manifest(check.manifest);
        let found = match self.engine()?.check(&check.path, &options) {
            Ok(found) => found,
            Err(EngineError::Refused(refusal)) => {
                let axes = refusal.axes.iter().map(axis).collect();
                return Ok(Checked {
                    route: "refused".to_owned(),
                    axes,
                    refusal: Some(told(&refusal)),
                    notes: Vec::new(),
                });
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Checked {
            route: found.route.as_ref().map_or_else(|_| "refused".to_owned(), ToString::to_string),
            axes: found.axes.iter().map(axis).collect(),
            refusal: found.route.err().as_ref().map(told),
            notes: found.notes,
        })
    }

    fn score(&mut self, score: Score) -> Result<Scored, Failure> {
        let engine = self.engine()?;
        let n_vocab = engine.model().n_vocab();
        let most = score.max_tokens as usize;
        let scored = if score.afresh {
            engine.score_afresh(&score.session, &score.text, most)
        } else {
            let session = engine.session_mut(&score.session);
            session.and_then(|session| session.score(&score.text, most))
        };
        let (tokens, rows) = scored.map_err(failed)?;
        let mut logits = Logits::new(n_vocab);
        rows.iter().for_each(|row| logits.push(row));
        logits.write(&score.path).map_err(|error| Box::new(unwritten(&error)))?;
        Ok(Scored {
            path: score.path,
            rows: small(rows.len()),
            n_vocab: small(n_vocab),
            tokens: tokens.into_iter().map(i32::from).collect(),
        })
    }

    fn engine(&mut self) -> Result<&mut Engine, Failure> {
        self.engine.as_mut().ok_or_else(|| refused("nothing-open", "no model is open; send `open` first"))
    }
}

/// What happened to the sequence that lives beside a session's in its context, where there is one.
fn harm(session: &Session) -> Result<Option<String>, Failure> {
    let unharmed = session.timeline().context().neighbour_is_unharmed();
    let unharmed = unharmed.map_err(|error| failed(error.into()))?;
    Ok((!unharmed).then(|| "the other sequence in its context is not what it was".to_owned()))
}

fn floored(floor: Floor) -> Result<Timings, Failure> {
    if floor.bytes > LARGEST_FLOOR {
        return Err(refused("too-large", &format!("a floor works on {LARGEST_FLOOR} bytes at most")));
    }
    Ok(pace::floor(floor))
}

fn policy(routes: Option<&[String]>) -> Result<LoadPolicy, Failure> {
    let Some(routes) = routes else { return Ok(LoadPolicy::default()) };
    LoadPolicy::of_names(routes.iter().map(String::as_str))
        .map_err(|error| refused("route-unknown", &error.to_string()))
}

/// Settings that llama.cpp did not take as they were given.
fn overridden(settings: &intact_protocol::Settings, n_ctx: u32) -> Vec<String> {
    let length = settings.n_ctx.filter(|&asked| asked != n_ctx);
    length.map(|asked| format!("n_ctx {asked} was rounded to {n_ctx}")).into_iter().collect()
}

#[expect(clippy::needless_pass_by_value, reason = "the end of an error's way, for map_err")]
fn unknown_format(error: VersionParseError) -> Failure {
    refused("format-unknown", &error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "the end of an error's way, for map_err")]
fn failed(error: EngineError) -> Failure {
    Box::new(failure(&error))
}

/// The blind path refuses without saying why.
#[expect(clippy::needless_pass_by_value, reason = "the end of an error's way, for map_err")]
fn blindly(error: EngineError) -> Failure {
    refused("", &error.to_string())
}

fn refused(code: &str, message: &str) -> Failure {
    Box::new(Outcome::Refused(Refusal {
        code: code.to_owned(),
        message: message.to_owned(),
        axes: Vec::new(),
    }))
}
