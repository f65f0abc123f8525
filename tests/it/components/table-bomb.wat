    ;; Put into the core module of handler-0.2.wat: a table that grows to 24 MB, if it may.
    (table $bomb 0 funcref)
    (func $bomb (local $rounds i32)
      (loop $more
        (drop (table.grow $bomb (ref.null func) (i32.const 10000)))
        (local.set $rounds (i32.add (local.get $rounds) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $rounds) (i32.const 300)))))
