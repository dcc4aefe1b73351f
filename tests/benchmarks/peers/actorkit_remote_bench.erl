%% The work between two processes, on the BEAM: two nodes, each an emulator of its own, loopback TCP between them.
%% actorkit_bench calls it; the emulator is started with `-start_epmd false -erl_epmd_port PORT`, so that neither a
%% daemon nor a fixed port is needed: the far node listens at PORT.
-module(actorkit_remote_bench).
-behaviour(gen_server).

-export([supported/1, work/2]).
-export([sink/2, counter/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-define(WIDTH, 1000).
-define(PAUSE, 1).
-define(MEBIBYTE, 1048576).

supported(Work) ->
    lists:member(Work, [remote_tell, remote_ask, remote_ask_pipelined, remote_spawn, remote_ref_bytes,
                        remote_bulk, remote_bulk_delay, remote_ask_p50, remote_ask_p99,
                        remote_bulk_ask_p50, remote_bulk_ask_p99]).

work(Work, Size) ->
    {Far, Peer} = far_node(),
    Result = in_process(fun() -> work(Work, Far, Size) end),
    peer:stop(Peer),
    Result.

work(remote_tell, Far, Size) -> flood(Far, Size);
work(remote_ask, Far, Size) -> ask(Far, Size);
work(remote_ask_pipelined, Far, Size) -> pipeline(Far, Size);
work(remote_spawn, Far, Size) -> start_servers(Far, Size);
work(remote_ref_bytes, Far, Size) -> pid_bytes(Far, Size);
work(remote_bulk, Far, Size) -> element(1, ship(Far, Size));
work(remote_bulk_delay, Far, Size) ->
    {_, Alone, Beside} = ship(Far, Size),
    max(0.0, percentile(Beside, 0.99) - percentile(Alone, 0.99));
work(remote_ask_p50, Far, Size) -> percentile(element(2, ship(Far, Size)), 0.5);
work(remote_ask_p99, Far, Size) -> percentile(element(2, ship(Far, Size)), 0.99);
work(remote_bulk_ask_p50, Far, Size) -> percentile(element(3, ship(Far, Size)), 0.5);
work(remote_bulk_ask_p99, Far, Size) -> percentile(element(3, ship(Far, Size)), 0.99).

%% The far node. It ends with its standard input, that is, with this one.

far_node() ->
    {ok, [[Port]]} = init:get_argument(erl_epmd_port),
    ok = near(node()),
    {ok, Peer, Far} = peer:start_link(#{
        name => far, host => "127.0.0.1", longnames => true, connection => standard_io,
        args => ["-setcookie", atom_to_list(erlang:get_cookie()), "-start_epmd", "false",
                 "-erl_epmd_port", Port, "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
                 "-pa", filename:dirname(code:which(?MODULE))]}),
    pong = net_adm:ping(Far),
    {Far, Peer}.

near(nonode@nohost) ->
    {ok, _} = net_kernel:start('near@127.0.0.1', #{name_domain => longnames, dist_listen => false}),
    ok;
near(_) -> ok.

%% Messages per second: one process sends, the other answers when it has counted all. The connection's own
%% back-pressure suspends the sender.

flood(Far, Size) ->
    Sink = spawn_link(Far, ?MODULE, sink, [self(), Size]),
    Seconds = seconds(fun() ->
        send_all(Sink, one(), Size),
        receive {all, Size} -> ok end
    end),
    Size / Seconds.

send_all(_Sink, _One, 0) -> ok;
send_all(Sink, One, Left) ->
    Sink ! {reading, One, <<"otters">>},
    send_all(Sink, One, Left - 1).

sink(Asker, Size) -> sink(Asker, 0, Size).

sink(Asker, Size, Size) -> Asker ! {all, Size};
sink(Asker, Sum, Size) ->
    receive {reading, N, _Text} -> sink(Asker, Sum + N, Size) end.

%% Round trips per second: gen_server:call with its default time-out.

ask(Far, Size) ->
    Server = server(Far),
    Seconds = seconds(fun() -> call_all(Server, one(), Size) end),
    Size = gen_server:call(Server, total),
    Size / Seconds.

pipeline(Far, Size) ->
    Width = min(?WIDTH, Size),
    Rounds = Size div Width,
    Server = server(Far),
    One = one(),
    Seconds = seconds(fun() ->
        Askers = [spawn_monitor(fun() -> call_all(Server, One, Rounds) end) || _ <- lists:seq(1, Width)],
        [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Askers]
    end),
    Total = Width * Rounds,
    Total = gen_server:call(Server, total),
    Total / Seconds.

call_all(_Server, _One, 0) -> ok;
call_all(Server, One, Left) ->
    _ = gen_server:call(Server, {add_up, One, <<"otters">>}),
    call_all(Server, One, Left - 1).

%% gen_servers started over there per second, each with init/1 run, acknowledged, and linked to who asked for it.

start_servers(Far, Size) ->
    process_flag(trap_exit, true),
    {Seconds, Servers} = timed(fun() -> [linked(server(Far)) || _ <- lists:seq(1, Size)] end),
    Size = length(lists:usort(Servers)),
    Size / Seconds.

linked(Server) ->
    link(Server),
    Server.

server(Far) ->
    {ok, Server} = erpc:call(Far, gen_server, start, [?MODULE, none, []]),
    Server.

%% Bytes of one remote pid, kept in a list.

pid_bytes(Far, Size) ->
    Pids = [spawn(Far, ?MODULE, counter, []) || _ <- lists:seq(1, Size)],
    Words = erts_debug:flat_size(Pids),
    Words * erlang:system_info(wordsize) / Size.

counter() -> receive stop -> ok end.

%% Blobs, and small calls alone and beside them: megabytes per second, and milliseconds of each call.

ship(Far, Size) ->
    Small = server(Far),
    Alone = probe(Small, one(), Size, []),
    Me = self(),
    Prober = spawn_link(fun() -> Me ! {times, probe_until_told(Small, one(), [])} end),
    Bulk = server(Far),
    Data = binary:copy(<<0>>, ?MEBIBYTE),
    Bytes = Size * ?MEBIBYTE,
    Seconds = seconds(fun() ->
        [gen_server:cast(Bulk, {blob, Data}) || _ <- lists:seq(1, Size)],
        Bytes = gen_server:call(Bulk, total, infinity)
    end),
    Prober ! over,
    receive {times, Beside} -> {Bytes / 1.0e6 / Seconds, Alone, Beside} end.

probe(_Server, _One, 0, Times) -> Times;
probe(Server, One, Left, Times) -> probe(Server, One, Left - 1, [probed(Server, One) | Times]).

probe_until_told(Server, One, Times) ->
    More = [probed(Server, One) | Times],
    receive over -> More after 0 -> probe_until_told(Server, One, More) end.

probed(Server, One) ->
    timer:sleep(?PAUSE),
    1.0e3 * seconds(fun() -> gen_server:call(Server, {add_up, One, <<"otters">>}) end).

%% Measuring.

seconds(Work) ->
    {Seconds, _} = timed(Work),
    Seconds.

timed(Work) ->
    Begin = erlang:monotonic_time(nanosecond),
    Result = Work(),
    {(erlang:monotonic_time(nanosecond) - Begin) / 1.0e9, Result}.

in_process(Work) ->
    Me = self(),
    spawn_link(fun() -> Me ! {result, Work()} end),
    receive {result, Result} -> Result end.

percentile(Times, Share) ->
    lists:nth(max(1, ceil(Share * length(Times))), lists:sort(Times)).

%% A one the compiler does not know.
one() -> rand:uniform(1).

%% The server: a counter.

init(none) -> {ok, 0}.

handle_call({add_up, N, _Text}, _From, Sum) -> {reply, Sum + N, Sum + N};
handle_call(total, _From, Sum) -> {reply, Sum, Sum}.

handle_cast({blob, Data}, Sum) -> {noreply, Sum + byte_size(Data)}.
