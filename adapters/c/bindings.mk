# Makes target/bindings/ out of wit/, with names that one can read: wasi:http/types@0.2.10 becomes http, and so on.
bindings = target/bindings/bindings.c target/bindings/bindings_component_type.o

$(bindings) &: $(wildcard wit/*.wit wit/deps/*/*.wit)
	wit-bindgen c wit --world sync-app-with-lifespan --out-dir target/bindings --rename-world bindings \
	  --rename wasi:http/types@0.2.10=http \
	  --rename wasi:http/outgoing-handler@0.2.10=client \
	  --rename wasi:http/incoming-handler@0.2.10=handler \
	  --rename wasi:io/streams@0.2.10=io \
	  --rename wasi:io/poll@0.2.10=poll \
	  --rename wasi:io/error@0.2.10=error \
	  --rename wasi:clocks/monotonic-clock@0.2.10=clock \
	  --rename wasmserve:lifespan/lifespan@0.1.0=lifespan
