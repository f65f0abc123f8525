# As bindings.mk, for WASI 0.3.
bindings = target/bindings/bindings.c target/bindings/bindings_component_type.o

$(bindings) &: $(wildcard wit/*.wit wit/deps/*/*.wit)
	wit-bindgen c wit --world async-app-with-lifespan --out-dir target/bindings --rename-world bindings \
	  --rename wasi:http/types@0.3.0=http \
	  --rename wasi:http/client@0.3.0=client \
	  --rename wasi:http/handler@0.3.0=handler \
	  --rename wasi:clocks/monotonic-clock@0.3.0=clock \
	  --rename wasmserve:lifespan/lifespan-async@0.1.0=lifespan
