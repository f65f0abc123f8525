;; The smallest app of wasi:http 0.3: it can be loaded and inspected; each request traps.
;; Tests add to it what they are about, in front of the last line's parenthesis.
(component
  (import "wasi:http/types@0.3.0" (instance $types-0-3
    (export "request" (type (sub resource)))
    (export "response" (type (sub resource)))
    ERROR-CODE))

  (core module $memory-0-3
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $memory-0-3 (instantiate $memory-0-3))
  (core module $app-0-3
    (func (export "handle") (param $request i32) (result i32) unreachable)
    (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
  (core instance $app-0-3 (instantiate $app-0-3))

  (alias export $types-0-3 "request" (type $request))
  (alias export $types-0-3 "response" (type $response))
  (alias export $types-0-3 "error-code" (type $error-code-0-3))
  (func $handle-0-3 async
    (param "request" (own $request))
    (result (result (own $response) (error $error-code-0-3)))
    (canon lift (core func $app-0-3 "handle") async
      (memory $memory-0-3 "memory") (realloc (func $memory-0-3 "realloc"))
      (callback (func $app-0-3 "callback"))))
  (instance $handler-0-3 (export "handle" (func $handle-0-3)))
  (export "wasi:http/handler@0.3.0" (instance $handler-0-3))
)
