;; The smallest app of wasi:http 0.2: it answers every request with 200 and no body.
;; Tests add to it what they are about, in front of the last line's parenthesis.
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type (sub resource)))
    (export "outgoing-response" (type $outgoing-response (sub resource)))
    (export "response-outparam" (type $response-outparam (sub resource)))
    ERROR-CODE
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[constructor]outgoing-response"
      (func (param "headers" (own $fields)) (result (own $outgoing-response))))
    (export "[static]response-outparam.set" (func
      (param "param" (own $response-outparam))
      (param "response" (result (own $outgoing-response) (error $error-code)))))))

  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $new-fields (canon lower (func $types "[constructor]fields")))
  (core func $new-response (canon lower (func $types "[constructor]outgoing-response")))
  (core func $set-response
    (canon lower (func $types "[static]response-outparam.set") (memory $memory "memory")))

  (core module $app
    (import "host" "new-fields" (func $new-fields (result i32)))
    (import "host" "new-response" (func $new-response (param i32) (result i32)))
    (import "host" "set-response"
      (func $set-response (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (func (export "handle") (param $request i32) (param $outparam i32)
      (call $set-response
        (local.get $outparam)
        (i32.const 0)
        (call $new-response (call $new-fields))
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))
  (core instance $app (instantiate $app (with "host" (instance
    (export "new-fields" (func $new-fields))
    (export "new-response" (func $new-response))
    (export "set-response" (func $set-response))))))

  (alias export $types "incoming-request" (type $incoming-request))
  (alias export $types "response-outparam" (type $response-outparam))
  (func $handle
    (param "request" (own $incoming-request))
    (param "response-out" (own $response-outparam))
    (canon lift (core func $app "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler))
)
