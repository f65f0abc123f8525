# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_wasmserve_global_optspecs
    string join \n config= host= port= b/bind= uds-mode= fd= backlog= w/workers= max-workers= name= idle-timeout= threads= offload= instances= concurrency= queue= isolation= lifespan= env= env-from-file= dir= timeout-graceful-shutdown= timeout-startup= timeout-worker-healthcheck= max-requests= max-requests-jitter= max-lifetime= max-instance-memory= worker-max-rss= reload reload-dir= log-file= access-log-file= p/pid-file= u/user= g/group= umask= chdir= control= admin= log-level= log-format= no-access-log identify cache-dir= max-memory= max-stack= max-table-elements= max-core-instances= max-resources= timeout-request= timeout-response-progress= timeout-response= max-cpu-time= max-cpu-share= limit-response-header-size= limit-response-body= limit-guest-log= fine-clocks max-compile-time= max-compile-memory= timeout-accept= timeout-header= timeout-body= timeout-write= timeout-keep-alive= limit-request-line= limit-request-fields= limit-request-header-size= limit-request-body= limit-connection-requests= limit-connections= limit-connections-per-address= limit-requests-per-second= limit-concurrency= allow-http= allow-tcp= allow-udp= allow-private-network= max-outbound= max-outbound-per-request= timeout-outbound-connect= timeout-outbound-first-byte= timeout-outbound-between-bytes= limit-outbound-response= sandbox= h/help V/version
end

function __fish_wasmserve_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_wasmserve_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_wasmserve_using_subcommand
    set -l cmd (__fish_wasmserve_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c wasmserve -n "__fish_wasmserve_needs_command" -l config -d 'Serve the apps of a configuration file; every other option is in it' -r -F
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l host -d 'Address to listen on' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l port -d 'Port to listen on; 0 picks a free one' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -s b -l bind -d 'Address to listen on, instead of --host and --port: ADDR:PORT or unix:PATH; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l uds-mode -d 'Permissions of Unix sockets that are listened on, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l fd -d 'Inherited descriptor of a listening socket to use; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l backlog -d 'Connections that may wait to be accepted, for each worker' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -s w -l workers -d 'Worker processes; `auto` is one per usable core [default: WEB_CONCURRENCY, else 1]' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-workers -d 'Start more workers while requests wait for one, up to so many in all [default: as many as --workers]' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l name -d 'Name of the app, in logs and for the guest [default: the component\'s, without its ending]' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l idle-timeout -d 'Seconds without a request after which the server ends, for socket activation; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l threads -d 'Threads per worker for guests that compute or block' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l offload -d 'When a guest call goes to those threads: once it outlives its time slice, or straight away' -r -f -a "slow\t''
always\t''"
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l instances -d 'Instances per worker at most, made when first needed [default: 1 for an async app, 32 for a sync one]' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l concurrency -d 'Requests in flight in one async instance' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l queue -d 'Requests per worker that wait for an instance; beyond it 503 at once' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l isolation -d 'Keep instances across requests (worker) or make a fresh one for each (request)' -r -f -a "auto\t''
worker\t''
request\t''"
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l lifespan -d 'Whether startup and shutdown are called: if exported (auto), always (on: it is an error if they are not exported), never (off)' -r -f -a "auto\t''
on\t''
off\t''"
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l env -d 'Environment variable for the guest: KEY=VALUE, or KEY to pass on our own; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l env-from-file -d 'Environment variable whose value is read from a file by the worker, for secrets: KEY=FILE; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l dir -d 'Folder the guest may use: HOST::GUEST, with :ro at the end for reading only; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-graceful-shutdown -d 'Seconds that requests in flight get to finish at shutdown' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-startup -d 'Seconds that an instance\'s startup may take' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-worker-healthcheck -d 'Seconds without a sign of life after which a worker is replaced' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-requests -d 'Requests after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-requests-jitter -d 'Up to so many more requests, at random for each instance, so that not all are replaced at once' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-lifetime -d 'Seconds after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-instance-memory -d 'Memory of an instance above which it is replaced by a fresh one, in bytes or such as 64MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l worker-max-rss -d 'Resident memory of a worker above which the process is replaced, in bytes or such as 512MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l reload-dir -d 'Folder to watch as well, with all in it; can be repeated; implies --reload' -r -F
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l log-file -d 'File for the log instead of stderr; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l access-log-file -d 'File for the line per request instead of the log; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_needs_command" -s p -l pid-file -d 'File for the supervisor\'s process id; removed at the end' -r -F
complete -c wasmserve -n "__fish_wasmserve_needs_command" -s u -l user -d 'User that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -s g -l group -d 'Group that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l umask -d 'Permissions that files made by the server and its guests do not get, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l chdir -d 'Folder to change to before anything else' -r -F
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l control -d 'Control socket, or `off` [default: in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l admin -d 'Serve /healthz, /readyz, /metrics and /status there: ADDR:PORT or PORT (loopback)' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l log-level -d 'Least important records to log' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l log-format -d 'Log format [default: text on a terminal, else json]' -r -f -a "text\t''
json\t''"
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l cache-dir -d 'Folder for compiled components [default: $XDG_CACHE_HOME/wasmserve or ~/.cache/wasmserve]' -r -F
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-memory -d 'Memory of an instance, linear memories and tables together, in bytes or such as 256MiB' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-stack -d 'Stack of the guest\'s code' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-table-elements -d 'Elements of all tables of an instance' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-core-instances -d 'Core instances in an instance of a component' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-resources -d 'Resources (handles: requests, bodies, files, ...) that an instance may hold at once' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-request -d 'Seconds until a response begins; beyond it 504' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-response-progress -d 'Seconds that a guest may let a response\'s body wait for its next part' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-response -d 'Seconds until a response is complete; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-cpu-time -d 'Processor time for a request of a sync guest, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-cpu-share -d 'Processor time for an instance of an async guest in each second, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-response-header-size -d 'Bytes of all fields of a response\'s head, and of its trailers' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-response-body -d 'Bytes of a response\'s body; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-guest-log -d 'Bytes of guest output logged for each worker in a second; the rest is counted and dropped' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-compile-time -d 'Processor time for compiling a component, in seconds' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-compile-memory -d 'Memory for compiling a component' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-accept -d 'Seconds that a new connection may stay silent' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-header -d 'Seconds that a request\'s head may take' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-body -d 'Seconds without progress of a request\'s body' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-write -d 'Seconds without progress of a response that the client reads too slowly' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-keep-alive -d 'Seconds that a connection may stay idle between requests' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-request-line -d 'Bytes of a request\'s target (the path with its query); beyond it 414' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-request-fields -d 'Fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-request-header-size -d 'Bytes of all fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-request-body -d 'Bytes of a request\'s body; beyond it 413; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-connection-requests -d 'Requests on a connection, after which it is closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-connections -d 'Connections of a worker; further ones wait to be accepted' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-connections-per-address -d 'Connections of a worker from one address (IPv6: one /64); further ones are closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-requests-per-second -d 'Requests in a second, in all workers together, with a second\'s worth at once; beyond it 429; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-concurrency -d 'Requests in flight in a worker; beyond it 503 at once; 0 is no limit beside the queue\'s' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l allow-http -d 'Host that the guest may send HTTP requests to: HOST[:PORT], *.SUFFIX[:PORT], or * for all; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l allow-tcp -d 'Host and port that the guest may connect to over TCP: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l allow-udp -d 'Host and port that the guest may send UDP datagrams to: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l allow-private-network -d 'Network or address that is not public and may be reached all the same, such as 10.1.0.0/16; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-outbound -d 'Outbound requests at the same time, in all workers together' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l max-outbound-per-request -d 'Outbound requests for each request that an instance takes; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-outbound-connect -d 'Seconds that an outbound connection may take, with the look-up of its name and TLS' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-outbound-first-byte -d 'Seconds until an outbound response begins' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l timeout-outbound-between-bytes -d 'Seconds between two parts of an outbound response' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l limit-outbound-response -d 'Bytes of an outbound response; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l sandbox -d 'Process sandbox around workers and the compiler: off, what this kernel has (best-effort), or all of it (strict)' -r -f -a "off\t''
best-effort\t''
strict\t''"
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l reload -d 'Reload when the component or a --reload-dir changes, for development'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l no-access-log -d 'Log no line per request'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l identify -d 'Add the response header x-wasmserve-instance: worker/instance/generation'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -l fine-clocks -d 'Let guests see clocks as fine as the machine\'s, instead of in steps of 1 ms'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -s V -l version -d 'Print version'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "new" -d 'Make a project to begin with'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "dev" -d 'Build a project, serve it, and build it again after each change'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "dev-serve" -d 'The server of `dev`, which gets its options'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "wit" -d 'Write the WIT files that an app is built against'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "demo" -d 'Serve a built-in component that shows its workers at work'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "inspect" -d 'Show what a component exports, imports and how it would be served'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "check" -d 'Check the options and the component as a start would, without serving'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "componentize" -d 'Make a component from a core module, as compilers for WASI 0.1 write it'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "status" -d 'Show what a running server does'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "reload" -d 'Load the component again; workers of the new generation take over one after the other'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "rollback" -d 'Go back to the generation before'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "scale" -d 'Change the number of workers'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "recycle" -d 'Replace the process of one worker, or of all in turn'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "stop" -d 'Finish what is in flight and end'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "app" -d 'Be the server of one hosted app'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "generate" -d 'Write man pages, shell completions and the schema of configuration files (for packagers)'
complete -c wasmserve -n "__fish_wasmserve_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand new" -s l -l lang -d 'Language of the project; --list shows which there are' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand new" -l async -d 'For WASI 0.3, whose handlers are async, instead of 0.2'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand new" -l list -d 'Show which languages there are and the tools that each needs'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand new" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l host -d 'Address to listen on' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l port -d 'Port to listen on; 0 picks a free one' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -s b -l bind -d 'Address to listen on, instead of --host and --port: ADDR:PORT or unix:PATH; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l uds-mode -d 'Permissions of Unix sockets that are listened on, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l fd -d 'Inherited descriptor of a listening socket to use; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l backlog -d 'Connections that may wait to be accepted, for each worker' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -s w -l workers -d 'Worker processes; `auto` is one per usable core [default: WEB_CONCURRENCY, else 1]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-workers -d 'Start more workers while requests wait for one, up to so many in all [default: as many as --workers]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l name -d 'Name of the app, in logs and for the guest [default: the component\'s, without its ending]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l idle-timeout -d 'Seconds without a request after which the server ends, for socket activation; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l threads -d 'Threads per worker for guests that compute or block' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l offload -d 'When a guest call goes to those threads: once it outlives its time slice, or straight away' -r -f -a "slow\t''
always\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l instances -d 'Instances per worker at most, made when first needed [default: 1 for an async app, 32 for a sync one]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l concurrency -d 'Requests in flight in one async instance' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l queue -d 'Requests per worker that wait for an instance; beyond it 503 at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l isolation -d 'Keep instances across requests (worker) or make a fresh one for each (request)' -r -f -a "auto\t''
worker\t''
request\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l lifespan -d 'Whether startup and shutdown are called: if exported (auto), always (on: it is an error if they are not exported), never (off)' -r -f -a "auto\t''
on\t''
off\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l env -d 'Environment variable for the guest: KEY=VALUE, or KEY to pass on our own; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l env-from-file -d 'Environment variable whose value is read from a file by the worker, for secrets: KEY=FILE; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l dir -d 'Folder the guest may use: HOST::GUEST, with :ro at the end for reading only; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-graceful-shutdown -d 'Seconds that requests in flight get to finish at shutdown' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-startup -d 'Seconds that an instance\'s startup may take' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-worker-healthcheck -d 'Seconds without a sign of life after which a worker is replaced' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-requests -d 'Requests after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-requests-jitter -d 'Up to so many more requests, at random for each instance, so that not all are replaced at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-lifetime -d 'Seconds after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-instance-memory -d 'Memory of an instance above which it is replaced by a fresh one, in bytes or such as 64MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l worker-max-rss -d 'Resident memory of a worker above which the process is replaced, in bytes or such as 512MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l reload-dir -d 'Folder to watch as well, with all in it; can be repeated; implies --reload' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l log-file -d 'File for the log instead of stderr; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l access-log-file -d 'File for the line per request instead of the log; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -s p -l pid-file -d 'File for the supervisor\'s process id; removed at the end' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -s u -l user -d 'User that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -s g -l group -d 'Group that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l umask -d 'Permissions that files made by the server and its guests do not get, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l chdir -d 'Folder to change to before anything else' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l control -d 'Control socket, or `off` [default: in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l admin -d 'Serve /healthz, /readyz, /metrics and /status there: ADDR:PORT or PORT (loopback)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l log-level -d 'Least important records to log' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l log-format -d 'Log format [default: text on a terminal, else json]' -r -f -a "text\t''
json\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l cache-dir -d 'Folder for compiled components [default: $XDG_CACHE_HOME/wasmserve or ~/.cache/wasmserve]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-memory -d 'Memory of an instance, linear memories and tables together, in bytes or such as 256MiB' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-stack -d 'Stack of the guest\'s code' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-table-elements -d 'Elements of all tables of an instance' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-core-instances -d 'Core instances in an instance of a component' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-resources -d 'Resources (handles: requests, bodies, files, ...) that an instance may hold at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-request -d 'Seconds until a response begins; beyond it 504' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-response-progress -d 'Seconds that a guest may let a response\'s body wait for its next part' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-response -d 'Seconds until a response is complete; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-cpu-time -d 'Processor time for a request of a sync guest, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-cpu-share -d 'Processor time for an instance of an async guest in each second, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-response-header-size -d 'Bytes of all fields of a response\'s head, and of its trailers' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-response-body -d 'Bytes of a response\'s body; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-guest-log -d 'Bytes of guest output logged for each worker in a second; the rest is counted and dropped' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-compile-time -d 'Processor time for compiling a component, in seconds' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-compile-memory -d 'Memory for compiling a component' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-accept -d 'Seconds that a new connection may stay silent' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-header -d 'Seconds that a request\'s head may take' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-body -d 'Seconds without progress of a request\'s body' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-write -d 'Seconds without progress of a response that the client reads too slowly' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-keep-alive -d 'Seconds that a connection may stay idle between requests' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-request-line -d 'Bytes of a request\'s target (the path with its query); beyond it 414' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-request-fields -d 'Fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-request-header-size -d 'Bytes of all fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-request-body -d 'Bytes of a request\'s body; beyond it 413; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-connection-requests -d 'Requests on a connection, after which it is closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-connections -d 'Connections of a worker; further ones wait to be accepted' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-connections-per-address -d 'Connections of a worker from one address (IPv6: one /64); further ones are closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-requests-per-second -d 'Requests in a second, in all workers together, with a second\'s worth at once; beyond it 429; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-concurrency -d 'Requests in flight in a worker; beyond it 503 at once; 0 is no limit beside the queue\'s' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l allow-http -d 'Host that the guest may send HTTP requests to: HOST[:PORT], *.SUFFIX[:PORT], or * for all; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l allow-tcp -d 'Host and port that the guest may connect to over TCP: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l allow-udp -d 'Host and port that the guest may send UDP datagrams to: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l allow-private-network -d 'Network or address that is not public and may be reached all the same, such as 10.1.0.0/16; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-outbound -d 'Outbound requests at the same time, in all workers together' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l max-outbound-per-request -d 'Outbound requests for each request that an instance takes; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-outbound-connect -d 'Seconds that an outbound connection may take, with the look-up of its name and TLS' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-outbound-first-byte -d 'Seconds until an outbound response begins' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l timeout-outbound-between-bytes -d 'Seconds between two parts of an outbound response' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l limit-outbound-response -d 'Bytes of an outbound response; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l sandbox -d 'Process sandbox around workers and the compiler: off, what this kernel has (best-effort), or all of it (strict)' -r -f -a "off\t''
best-effort\t''
strict\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l reload -d 'Reload when the component or a --reload-dir changes, for development'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l no-access-log -d 'Log no line per request'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l identify -d 'Add the response header x-wasmserve-instance: worker/instance/generation'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -l fine-clocks -d 'Let guests see clocks as fine as the machine\'s, instead of in steps of 1 ms'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l host -d 'Address to listen on' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l port -d 'Port to listen on; 0 picks a free one' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -s b -l bind -d 'Address to listen on, instead of --host and --port: ADDR:PORT or unix:PATH; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l uds-mode -d 'Permissions of Unix sockets that are listened on, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l fd -d 'Inherited descriptor of a listening socket to use; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l backlog -d 'Connections that may wait to be accepted, for each worker' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -s w -l workers -d 'Worker processes; `auto` is one per usable core [default: WEB_CONCURRENCY, else 1]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-workers -d 'Start more workers while requests wait for one, up to so many in all [default: as many as --workers]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l name -d 'Name of the app, in logs and for the guest [default: the component\'s, without its ending]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l idle-timeout -d 'Seconds without a request after which the server ends, for socket activation; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l threads -d 'Threads per worker for guests that compute or block' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l offload -d 'When a guest call goes to those threads: once it outlives its time slice, or straight away' -r -f -a "slow\t''
always\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l instances -d 'Instances per worker at most, made when first needed [default: 1 for an async app, 32 for a sync one]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l concurrency -d 'Requests in flight in one async instance' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l queue -d 'Requests per worker that wait for an instance; beyond it 503 at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l isolation -d 'Keep instances across requests (worker) or make a fresh one for each (request)' -r -f -a "auto\t''
worker\t''
request\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l lifespan -d 'Whether startup and shutdown are called: if exported (auto), always (on: it is an error if they are not exported), never (off)' -r -f -a "auto\t''
on\t''
off\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l env -d 'Environment variable for the guest: KEY=VALUE, or KEY to pass on our own; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l env-from-file -d 'Environment variable whose value is read from a file by the worker, for secrets: KEY=FILE; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l dir -d 'Folder the guest may use: HOST::GUEST, with :ro at the end for reading only; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-graceful-shutdown -d 'Seconds that requests in flight get to finish at shutdown' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-startup -d 'Seconds that an instance\'s startup may take' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-worker-healthcheck -d 'Seconds without a sign of life after which a worker is replaced' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-requests -d 'Requests after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-requests-jitter -d 'Up to so many more requests, at random for each instance, so that not all are replaced at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-lifetime -d 'Seconds after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-instance-memory -d 'Memory of an instance above which it is replaced by a fresh one, in bytes or such as 64MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l worker-max-rss -d 'Resident memory of a worker above which the process is replaced, in bytes or such as 512MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l reload-dir -d 'Folder to watch as well, with all in it; can be repeated; implies --reload' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l log-file -d 'File for the log instead of stderr; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l access-log-file -d 'File for the line per request instead of the log; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -s p -l pid-file -d 'File for the supervisor\'s process id; removed at the end' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -s u -l user -d 'User that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -s g -l group -d 'Group that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l umask -d 'Permissions that files made by the server and its guests do not get, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l chdir -d 'Folder to change to before anything else' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l control -d 'Control socket, or `off` [default: in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l admin -d 'Serve /healthz, /readyz, /metrics and /status there: ADDR:PORT or PORT (loopback)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l log-level -d 'Least important records to log' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l log-format -d 'Log format [default: text on a terminal, else json]' -r -f -a "text\t''
json\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l cache-dir -d 'Folder for compiled components [default: $XDG_CACHE_HOME/wasmserve or ~/.cache/wasmserve]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-memory -d 'Memory of an instance, linear memories and tables together, in bytes or such as 256MiB' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-stack -d 'Stack of the guest\'s code' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-table-elements -d 'Elements of all tables of an instance' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-core-instances -d 'Core instances in an instance of a component' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-resources -d 'Resources (handles: requests, bodies, files, ...) that an instance may hold at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-request -d 'Seconds until a response begins; beyond it 504' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-response-progress -d 'Seconds that a guest may let a response\'s body wait for its next part' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-response -d 'Seconds until a response is complete; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-cpu-time -d 'Processor time for a request of a sync guest, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-cpu-share -d 'Processor time for an instance of an async guest in each second, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-response-header-size -d 'Bytes of all fields of a response\'s head, and of its trailers' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-response-body -d 'Bytes of a response\'s body; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-guest-log -d 'Bytes of guest output logged for each worker in a second; the rest is counted and dropped' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-compile-time -d 'Processor time for compiling a component, in seconds' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-compile-memory -d 'Memory for compiling a component' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-accept -d 'Seconds that a new connection may stay silent' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-header -d 'Seconds that a request\'s head may take' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-body -d 'Seconds without progress of a request\'s body' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-write -d 'Seconds without progress of a response that the client reads too slowly' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-keep-alive -d 'Seconds that a connection may stay idle between requests' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-request-line -d 'Bytes of a request\'s target (the path with its query); beyond it 414' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-request-fields -d 'Fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-request-header-size -d 'Bytes of all fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-request-body -d 'Bytes of a request\'s body; beyond it 413; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-connection-requests -d 'Requests on a connection, after which it is closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-connections -d 'Connections of a worker; further ones wait to be accepted' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-connections-per-address -d 'Connections of a worker from one address (IPv6: one /64); further ones are closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-requests-per-second -d 'Requests in a second, in all workers together, with a second\'s worth at once; beyond it 429; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-concurrency -d 'Requests in flight in a worker; beyond it 503 at once; 0 is no limit beside the queue\'s' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l allow-http -d 'Host that the guest may send HTTP requests to: HOST[:PORT], *.SUFFIX[:PORT], or * for all; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l allow-tcp -d 'Host and port that the guest may connect to over TCP: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l allow-udp -d 'Host and port that the guest may send UDP datagrams to: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l allow-private-network -d 'Network or address that is not public and may be reached all the same, such as 10.1.0.0/16; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-outbound -d 'Outbound requests at the same time, in all workers together' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l max-outbound-per-request -d 'Outbound requests for each request that an instance takes; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-outbound-connect -d 'Seconds that an outbound connection may take, with the look-up of its name and TLS' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-outbound-first-byte -d 'Seconds until an outbound response begins' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l timeout-outbound-between-bytes -d 'Seconds between two parts of an outbound response' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l limit-outbound-response -d 'Bytes of an outbound response; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l sandbox -d 'Process sandbox around workers and the compiler: off, what this kernel has (best-effort), or all of it (strict)' -r -f -a "off\t''
best-effort\t''
strict\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l reload -d 'Reload when the component or a --reload-dir changes, for development'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l no-access-log -d 'Log no line per request'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l identify -d 'Add the response header x-wasmserve-instance: worker/instance/generation'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -l fine-clocks -d 'Let guests see clocks as fine as the machine\'s, instead of in steps of 1 ms'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand dev-serve" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand wit" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l host -d 'Address to listen on' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l port -d 'Port to listen on; 0 picks a free one' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -s b -l bind -d 'Address to listen on, instead of --host and --port: ADDR:PORT or unix:PATH; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l uds-mode -d 'Permissions of Unix sockets that are listened on, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l fd -d 'Inherited descriptor of a listening socket to use; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l backlog -d 'Connections that may wait to be accepted, for each worker' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -s w -l workers -d 'Worker processes; `auto` is one per usable core [default: WEB_CONCURRENCY, else 1]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-workers -d 'Start more workers while requests wait for one, up to so many in all [default: as many as --workers]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l name -d 'Name of the app, in logs and for the guest [default: the component\'s, without its ending]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l idle-timeout -d 'Seconds without a request after which the server ends, for socket activation; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l threads -d 'Threads per worker for guests that compute or block' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l offload -d 'When a guest call goes to those threads: once it outlives its time slice, or straight away' -r -f -a "slow\t''
always\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l instances -d 'Instances per worker at most, made when first needed [default: 1 for an async app, 32 for a sync one]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l concurrency -d 'Requests in flight in one async instance' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l queue -d 'Requests per worker that wait for an instance; beyond it 503 at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l isolation -d 'Keep instances across requests (worker) or make a fresh one for each (request)' -r -f -a "auto\t''
worker\t''
request\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l lifespan -d 'Whether startup and shutdown are called: if exported (auto), always (on: it is an error if they are not exported), never (off)' -r -f -a "auto\t''
on\t''
off\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l env -d 'Environment variable for the guest: KEY=VALUE, or KEY to pass on our own; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l env-from-file -d 'Environment variable whose value is read from a file by the worker, for secrets: KEY=FILE; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l dir -d 'Folder the guest may use: HOST::GUEST, with :ro at the end for reading only; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-graceful-shutdown -d 'Seconds that requests in flight get to finish at shutdown' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-startup -d 'Seconds that an instance\'s startup may take' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-worker-healthcheck -d 'Seconds without a sign of life after which a worker is replaced' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-requests -d 'Requests after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-requests-jitter -d 'Up to so many more requests, at random for each instance, so that not all are replaced at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-lifetime -d 'Seconds after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-instance-memory -d 'Memory of an instance above which it is replaced by a fresh one, in bytes or such as 64MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l worker-max-rss -d 'Resident memory of a worker above which the process is replaced, in bytes or such as 512MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l reload-dir -d 'Folder to watch as well, with all in it; can be repeated; implies --reload' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l log-file -d 'File for the log instead of stderr; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l access-log-file -d 'File for the line per request instead of the log; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -s p -l pid-file -d 'File for the supervisor\'s process id; removed at the end' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -s u -l user -d 'User that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -s g -l group -d 'Group that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l umask -d 'Permissions that files made by the server and its guests do not get, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l chdir -d 'Folder to change to before anything else' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l control -d 'Control socket, or `off` [default: in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l admin -d 'Serve /healthz, /readyz, /metrics and /status there: ADDR:PORT or PORT (loopback)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l log-level -d 'Least important records to log' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l log-format -d 'Log format [default: text on a terminal, else json]' -r -f -a "text\t''
json\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l cache-dir -d 'Folder for compiled components [default: $XDG_CACHE_HOME/wasmserve or ~/.cache/wasmserve]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-memory -d 'Memory of an instance, linear memories and tables together, in bytes or such as 256MiB' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-stack -d 'Stack of the guest\'s code' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-table-elements -d 'Elements of all tables of an instance' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-core-instances -d 'Core instances in an instance of a component' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-resources -d 'Resources (handles: requests, bodies, files, ...) that an instance may hold at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-request -d 'Seconds until a response begins; beyond it 504' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-response-progress -d 'Seconds that a guest may let a response\'s body wait for its next part' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-response -d 'Seconds until a response is complete; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-cpu-time -d 'Processor time for a request of a sync guest, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-cpu-share -d 'Processor time for an instance of an async guest in each second, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-response-header-size -d 'Bytes of all fields of a response\'s head, and of its trailers' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-response-body -d 'Bytes of a response\'s body; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-guest-log -d 'Bytes of guest output logged for each worker in a second; the rest is counted and dropped' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-compile-time -d 'Processor time for compiling a component, in seconds' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-compile-memory -d 'Memory for compiling a component' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-accept -d 'Seconds that a new connection may stay silent' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-header -d 'Seconds that a request\'s head may take' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-body -d 'Seconds without progress of a request\'s body' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-write -d 'Seconds without progress of a response that the client reads too slowly' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-keep-alive -d 'Seconds that a connection may stay idle between requests' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-request-line -d 'Bytes of a request\'s target (the path with its query); beyond it 414' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-request-fields -d 'Fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-request-header-size -d 'Bytes of all fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-request-body -d 'Bytes of a request\'s body; beyond it 413; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-connection-requests -d 'Requests on a connection, after which it is closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-connections -d 'Connections of a worker; further ones wait to be accepted' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-connections-per-address -d 'Connections of a worker from one address (IPv6: one /64); further ones are closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-requests-per-second -d 'Requests in a second, in all workers together, with a second\'s worth at once; beyond it 429; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-concurrency -d 'Requests in flight in a worker; beyond it 503 at once; 0 is no limit beside the queue\'s' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l allow-http -d 'Host that the guest may send HTTP requests to: HOST[:PORT], *.SUFFIX[:PORT], or * for all; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l allow-tcp -d 'Host and port that the guest may connect to over TCP: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l allow-udp -d 'Host and port that the guest may send UDP datagrams to: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l allow-private-network -d 'Network or address that is not public and may be reached all the same, such as 10.1.0.0/16; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-outbound -d 'Outbound requests at the same time, in all workers together' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l max-outbound-per-request -d 'Outbound requests for each request that an instance takes; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-outbound-connect -d 'Seconds that an outbound connection may take, with the look-up of its name and TLS' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-outbound-first-byte -d 'Seconds until an outbound response begins' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l timeout-outbound-between-bytes -d 'Seconds between two parts of an outbound response' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l limit-outbound-response -d 'Bytes of an outbound response; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l sandbox -d 'Process sandbox around workers and the compiler: off, what this kernel has (best-effort), or all of it (strict)' -r -f -a "off\t''
best-effort\t''
strict\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l reload -d 'Reload when the component or a --reload-dir changes, for development'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l no-access-log -d 'Log no line per request'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l identify -d 'Add the response header x-wasmserve-instance: worker/instance/generation'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -l fine-clocks -d 'Let guests see clocks as fine as the machine\'s, instead of in steps of 1 ms'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand demo" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand inspect" -l json -d 'Print JSON'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l config -d 'Check a configuration file, and the components of its apps' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l host -d 'Address to listen on' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l port -d 'Port to listen on; 0 picks a free one' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -s b -l bind -d 'Address to listen on, instead of --host and --port: ADDR:PORT or unix:PATH; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l uds-mode -d 'Permissions of Unix sockets that are listened on, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l fd -d 'Inherited descriptor of a listening socket to use; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l backlog -d 'Connections that may wait to be accepted, for each worker' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -s w -l workers -d 'Worker processes; `auto` is one per usable core [default: WEB_CONCURRENCY, else 1]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-workers -d 'Start more workers while requests wait for one, up to so many in all [default: as many as --workers]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l name -d 'Name of the app, in logs and for the guest [default: the component\'s, without its ending]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l idle-timeout -d 'Seconds without a request after which the server ends, for socket activation; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l threads -d 'Threads per worker for guests that compute or block' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l offload -d 'When a guest call goes to those threads: once it outlives its time slice, or straight away' -r -f -a "slow\t''
always\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l instances -d 'Instances per worker at most, made when first needed [default: 1 for an async app, 32 for a sync one]' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l concurrency -d 'Requests in flight in one async instance' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l queue -d 'Requests per worker that wait for an instance; beyond it 503 at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l isolation -d 'Keep instances across requests (worker) or make a fresh one for each (request)' -r -f -a "auto\t''
worker\t''
request\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l lifespan -d 'Whether startup and shutdown are called: if exported (auto), always (on: it is an error if they are not exported), never (off)' -r -f -a "auto\t''
on\t''
off\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l env -d 'Environment variable for the guest: KEY=VALUE, or KEY to pass on our own; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l env-from-file -d 'Environment variable whose value is read from a file by the worker, for secrets: KEY=FILE; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l dir -d 'Folder the guest may use: HOST::GUEST, with :ro at the end for reading only; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-graceful-shutdown -d 'Seconds that requests in flight get to finish at shutdown' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-startup -d 'Seconds that an instance\'s startup may take' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-worker-healthcheck -d 'Seconds without a sign of life after which a worker is replaced' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-requests -d 'Requests after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-requests-jitter -d 'Up to so many more requests, at random for each instance, so that not all are replaced at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-lifetime -d 'Seconds after which an instance is replaced by a fresh one; 0 is never' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-instance-memory -d 'Memory of an instance above which it is replaced by a fresh one, in bytes or such as 64MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l worker-max-rss -d 'Resident memory of a worker above which the process is replaced, in bytes or such as 512MiB; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l reload-dir -d 'Folder to watch as well, with all in it; can be repeated; implies --reload' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l log-file -d 'File for the log instead of stderr; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l access-log-file -d 'File for the line per request instead of the log; opened again on USR1' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -s p -l pid-file -d 'File for the supervisor\'s process id; removed at the end' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -s u -l user -d 'User that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -s g -l group -d 'Group that workers run as, by name or number (needs root)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l umask -d 'Permissions that files made by the server and its guests do not get, in octal' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l chdir -d 'Folder to change to before anything else' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l control -d 'Control socket, or `off` [default: in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l admin -d 'Serve /healthz, /readyz, /metrics and /status there: ADDR:PORT or PORT (loopback)' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l log-level -d 'Least important records to log' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l log-format -d 'Log format [default: text on a terminal, else json]' -r -f -a "text\t''
json\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l cache-dir -d 'Folder for compiled components [default: $XDG_CACHE_HOME/wasmserve or ~/.cache/wasmserve]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-memory -d 'Memory of an instance, linear memories and tables together, in bytes or such as 256MiB' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-stack -d 'Stack of the guest\'s code' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-table-elements -d 'Elements of all tables of an instance' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-core-instances -d 'Core instances in an instance of a component' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-resources -d 'Resources (handles: requests, bodies, files, ...) that an instance may hold at once' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-request -d 'Seconds until a response begins; beyond it 504' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-response-progress -d 'Seconds that a guest may let a response\'s body wait for its next part' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-response -d 'Seconds until a response is complete; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-cpu-time -d 'Processor time for a request of a sync guest, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-cpu-share -d 'Processor time for an instance of an async guest in each second, in seconds; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-response-header-size -d 'Bytes of all fields of a response\'s head, and of its trailers' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-response-body -d 'Bytes of a response\'s body; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-guest-log -d 'Bytes of guest output logged for each worker in a second; the rest is counted and dropped' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-compile-time -d 'Processor time for compiling a component, in seconds' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-compile-memory -d 'Memory for compiling a component' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-accept -d 'Seconds that a new connection may stay silent' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-header -d 'Seconds that a request\'s head may take' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-body -d 'Seconds without progress of a request\'s body' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-write -d 'Seconds without progress of a response that the client reads too slowly' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-keep-alive -d 'Seconds that a connection may stay idle between requests' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-request-line -d 'Bytes of a request\'s target (the path with its query); beyond it 414' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-request-fields -d 'Fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-request-header-size -d 'Bytes of all fields of a request\'s head; beyond it 431' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-request-body -d 'Bytes of a request\'s body; beyond it 413; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-connection-requests -d 'Requests on a connection, after which it is closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-connections -d 'Connections of a worker; further ones wait to be accepted' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-connections-per-address -d 'Connections of a worker from one address (IPv6: one /64); further ones are closed; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-requests-per-second -d 'Requests in a second, in all workers together, with a second\'s worth at once; beyond it 429; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-concurrency -d 'Requests in flight in a worker; beyond it 503 at once; 0 is no limit beside the queue\'s' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l allow-http -d 'Host that the guest may send HTTP requests to: HOST[:PORT], *.SUFFIX[:PORT], or * for all; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l allow-tcp -d 'Host and port that the guest may connect to over TCP: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l allow-udp -d 'Host and port that the guest may send UDP datagrams to: HOST:PORT; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l allow-private-network -d 'Network or address that is not public and may be reached all the same, such as 10.1.0.0/16; can be repeated' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-outbound -d 'Outbound requests at the same time, in all workers together' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l max-outbound-per-request -d 'Outbound requests for each request that an instance takes; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-outbound-connect -d 'Seconds that an outbound connection may take, with the look-up of its name and TLS' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-outbound-first-byte -d 'Seconds until an outbound response begins' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l timeout-outbound-between-bytes -d 'Seconds between two parts of an outbound response' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l limit-outbound-response -d 'Bytes of an outbound response; 0 is no limit' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l sandbox -d 'Process sandbox around workers and the compiler: off, what this kernel has (best-effort), or all of it (strict)' -r -f -a "off\t''
best-effort\t''
strict\t''"
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l reload -d 'Reload when the component or a --reload-dir changes, for development'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l no-access-log -d 'Log no line per request'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l identify -d 'Add the response header x-wasmserve-instance: worker/instance/generation'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -l fine-clocks -d 'Let guests see clocks as fine as the machine\'s, instead of in steps of 1 ms'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand check" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand componentize" -s o -l output -d 'File to write [default: the module\'s path, ending in .component.wasm]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand componentize" -l wit -d 'WIT folder with the app\'s world, for a module that does not carry its world inside' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand componentize" -l world -d 'The world in that folder, if there are several' -r
complete -c wasmserve -n "__fish_wasmserve_using_subcommand componentize" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand status" -l control -d 'Its control socket [default: the only one in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand status" -l json -d 'Print JSON'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand status" -l watch -d 'Show it again every second, until interrupted'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand status" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand reload" -l control -d 'Its control socket [default: the only one in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand reload" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand rollback" -l control -d 'Its control socket [default: the only one in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand rollback" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand scale" -l control -d 'Its control socket [default: the only one in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand scale" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand recycle" -l control -d 'Its control socket [default: the only one in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand recycle" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand stop" -l control -d 'Its control socket [default: the only one in the runtime folder]' -r -F
complete -c wasmserve -n "__fish_wasmserve_using_subcommand stop" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand app" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand generate" -s h -l help -d 'Print help'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "new" -d 'Make a project to begin with'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "dev" -d 'Build a project, serve it, and build it again after each change'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "dev-serve" -d 'The server of `dev`, which gets its options'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "wit" -d 'Write the WIT files that an app is built against'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "demo" -d 'Serve a built-in component that shows its workers at work'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "inspect" -d 'Show what a component exports, imports and how it would be served'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "check" -d 'Check the options and the component as a start would, without serving'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "componentize" -d 'Make a component from a core module, as compilers for WASI 0.1 write it'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "status" -d 'Show what a running server does'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "reload" -d 'Load the component again; workers of the new generation take over one after the other'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "rollback" -d 'Go back to the generation before'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "scale" -d 'Change the number of workers'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "recycle" -d 'Replace the process of one worker, or of all in turn'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "stop" -d 'Finish what is in flight and end'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "app" -d 'Be the server of one hosted app'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "generate" -d 'Write man pages, shell completions and the schema of configuration files (for packagers)'
complete -c wasmserve -n "__fish_wasmserve_using_subcommand help; and not __fish_seen_subcommand_from new dev dev-serve wit demo inspect check componentize status reload rollback scale recycle stop app generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
