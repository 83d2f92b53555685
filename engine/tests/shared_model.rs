//! Engines over a model that is loaded already, here by a program that uses `llama-cpp-2` itself. One test: llama.cpp's
//! backend is the process's.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use intact_engine::{
    Engine, EngineError, EngineOptions, Generation, LoadOptions, ModelSettings, Route, SaveOptions,
    SharedModel, StartOptions,
};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;

/// Lines that llama.cpp has logged to the program.
static LOGGED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: llama_cpp_sys_2::ggml_log_level, _: *const c_char, _: *mut c_void) {
    LOGGED.fetch_add(1, Ordering::Relaxed);
}

fn over(model: &SharedModel) -> Engine {
    let options = EngineOptions::default().context_size(512).threads(1);
    Engine::over(model.clone(), options).expect("an engine")
}

#[test]
fn engines_share_a_model_that_the_program_has_loaded_itself() {
    #[expect(unsafe_code, reason = "as a program does that has the log for itself")]
    // SAFETY: the sink lives as long as the program and takes no user data.
    unsafe {
        llama_cpp_sys_2::llama_log_set(Some(count), std::ptr::null_mut());
    }
    let backend = LlamaBackend::init().expect("nobody has started it before");
    let path = intact_fixtures::cached("llama").expect("a fixture model");
    let loaded = LlamaModel::load_from_file(&backend, &path, &LlamaModelParams::default()).expect("a model");
    let model = SharedModel::of_llama_cpp(loaded, &path, &ModelSettings::default()).expect("identified");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("chat.json");

    let mut engine = over(&model);
    let forced = Generation::default().forced("It is sunny.");
    engine.start(StartOptions::default().id("ada")).expect("started");
    engine.send("How is the weather?", &forced, &mut |_| {}).expect("said");
    engine.save("ada", &SaveOptions::to(&file)).expect("saved");

    // The log is still the program's.
    let before = LOGGED.load(Ordering::Relaxed);
    let routes: Vec<Route> = thread::scope(|scope| {
        let load = || over(&model).load(&file, &LoadOptions::default()).expect("loaded").receipt.route;
        let loads = [scope.spawn(load), scope.spawn(load)];
        loads.map(|load| load.join().expect("no panic")).to_vec()
    });
    assert_eq!(routes, [Route::Direct, Route::Direct]);
    assert!(LOGGED.load(Ordering::Relaxed) > before, "contexts were made, and llama.cpp says so");

    // What was saved over a model that the engine has loaded is the same session.
    let mut other = Engine::builder(&path).context_size(512).threads(1).build().expect("an engine");
    assert_eq!(other.load(&file, &LoadOptions::default()).expect("loaded").receipt.route, Route::Direct);
    assert_eq!(other.shared_model().identity(), model.identity());

    let twice = EngineOptions::default().model(&path);
    assert!(matches!(Engine::over(model, twice), Err(EngineError::Unsupported { .. })));
}
