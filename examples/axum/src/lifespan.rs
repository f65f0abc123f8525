//! `startup` and `shutdown`: wasmserve calls each once for each instance.

use crate::{Item, ROUTER, Shop, router};

wit_bindgen::generate!({ path: "wit/deps/wasmserve-lifespan", world: "hooks-async" });

struct Hooks;

export!(Hooks);

impl exports::wasmserve::lifespan::lifespan_async::Guest for Hooks {
    /// Fills the shop before the first request. An error would mean that this instance never serves.
    async fn startup() -> Result<(), String> {
        let shop = Shop::default();
        let items = [("apple", 30), ("pear", 40)];
        let items = items.map(|(name, price)| (name.to_owned(), Item { price }));
        shop.items
            .lock()
            .map_err(|error| error.to_string())?
            .extend(items);
        ROUTER.get_or_init(|| router(shop));
        println!("startup: 2 items");
        Ok(())
    }

    async fn shutdown() {
        println!("shutdown");
    }
}
