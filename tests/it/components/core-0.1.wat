;; What a compiler for WASI 0.1 makes of the smallest app of wasi:http 0.2 with a lifespan: it prints `started`, and
;; answers every request with 200 and no body. Its world is not inside.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.10" "[constructor]fields" (func $new-fields (result i32)))
  (import "wasi:http/types@0.2.10" "[constructor]outgoing-response" (func $new-response (param i32) (result i32)))
  (import "wasi:http/types@0.2.10" "[static]response-outparam.set"
    (func $set-response (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "\20\00\00\00\08\00\00\00")
  (data (i32.const 32) "started\n")

  (func (export "wasi:http/incoming-handler@0.2.10#handle") (param $request i32) (param $outparam i32)
    (call $set-response
      (local.get $outparam)
      (i32.const 0)
      (call $new-response (call $new-fields))
      (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
  (func (export "wasmserve:lifespan/lifespan@0.1.0#startup") (result i32)
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 0)))
    (i32.const 64))
  (func (export "wasmserve:lifespan/lifespan@0.1.0#shutdown")))
