//! `import "lib/disk" as disk;`: finding, compiling once, and evaluating once a testcase.

use super::engine::Scripts;
use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

/// The imports of one testcase.
pub struct Resolver {
    scripts: Arc<Scripts>,
    loaded: Mutex<HashMap<String, Shared<Module>>>,
    /// Sources being imported right now, outermost first: an import that comes back to one of them never ends. Branches of a
    /// `parallel` import side by side, which is no circle.
    loading: Mutex<HashMap<ThreadId, Vec<String>>>,
}

impl Resolver {
    pub fn new(scripts: Arc<Scripts>) -> Resolver {
        Resolver { scripts, loaded: Mutex::default(), loading: Mutex::default() }
    }

    fn load(
        &self,
        engine: &Engine,
        name: &str,
        text: &str,
        path: &str,
        at: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let ast = self.scripts.parse_once(engine, name, text).map_err(|d| {
            Box::new(EvalAltResult::ErrorInModule(path.to_string(), super::failure::misuse(d.headline(), d.help.clone()), at))
        })?;
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine)
            .map_err(|e| Box::new(EvalAltResult::ErrorInModule(name.to_string(), e, at)))?;
        Ok(module.into())
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let Some((name, text)) = self.scripts.find_import(source.unwrap_or_default(), path) else {
            return Err(EvalAltResult::ErrorModuleNotFound(path.to_string(), at).into());
        };
        if let Some(known) = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(known.clone());
        }
        let thread = std::thread::current().id();
        {
            let mut all = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
            let loading = all.entry(thread).or_default();
            if loading.contains(&name) {
                let circle = format!("imports go in a circle: {} → {name}", loading.join(" → "));
                return Err(EvalAltResult::ErrorInModule(path.to_string(), super::failure::misuse(circle, None), at).into());
            }
            loading.push(name.clone());
        }
        let module = self.load(engine, &name, &text, path, at);
        self.loading.lock().unwrap_or_else(PoisonError::into_inner).entry(thread).and_modify(|stack| drop(stack.pop()));
        let module = module?;
        // Another branch may have been first: all are given the same.
        Ok(self.loaded.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert(module).clone())
    }
}
