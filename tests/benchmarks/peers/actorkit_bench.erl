%% The same work as the suite's benchmarks, on the BEAM.
%% erl -noshell -pa DIR -run actorkit_bench main WORK SIZE: prints one JSON line.
-module(actorkit_bench).
-behaviour(gen_server).

-export([main/1, supported/1, work/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(WIDTH, 1000).
-define(WARM_UP_SHARE, 20).

main([WorkText, SizeText]) ->
    Work = list_to_atom(WorkText),
    Size = list_to_integer(SizeText),
    case [Module || Module <- [?MODULE, actorkit_remote_bench], Module:supported(Work)] of
        [Module] ->
            _ = Module:work(Work, max(1, Size div ?WARM_UP_SHARE)),
            io:format("{\"value\": ~w}~n", [float(Module:work(Work, Size))]);
        [] ->
            io:format("{\"unsupported\": \"erlang has no ~s\"}~n", [WorkText])
    end,
    halt().

supported(Work) ->
    lists:member(Work, [tell_flood, ask_actor_to_actor, ping_pong, fan_out, spawn, spawn_from_actor,
                        start_stop, timers, idle_actor_bytes, busy_among_idle]).

work(tell_flood, Size) -> flood(Size);
work(ask_actor_to_actor, Size) -> ask(Size);
work(ping_pong, Size) -> ping_pong(Size);
work(fan_out, Size) -> fan_out(Size);
work(spawn, Size) -> start_servers(Size);
work(spawn_from_actor, Size) -> in_process(fun() -> start_servers(Size) end);
work(start_stop, Size) -> start_stop(Size);
work(timers, Size) -> timers(Size);
work(idle_actor_bytes, Size) -> idle_bytes(Size);
work(busy_among_idle, Size) -> busy_among_idle(Size).

%% Messages per second: one process sends as fast as it can, the other answers when all are there.

flood(Size) ->
    Me = self(),
    Sink = spawn_link(fun() -> sink(Me, 0, Size) end),
    Seconds = seconds(fun() ->
        send_all(Sink, one(), Size),
        receive {all, Size} -> ok end
    end),
    Size / Seconds.

send_all(_Sink, _One, 0) -> ok;
send_all(Sink, One, Left) ->
    Sink ! {add, One},
    send_all(Sink, One, Left - 1).

sink(Asker, Size, Size) -> Asker ! {all, Size};
sink(Asker, Sum, Size) ->
    receive {add, N} -> sink(Asker, Sum + N, Size) end.

%% Calls per second: gen_server:call with its default time-out, in a loop.

ask(Size) ->
    in_process(fun() ->
        {ok, Server} = gen_server:start(?MODULE, none, []),
        Seconds = seconds(fun() -> call_all(Server, one(), Size) end),
        Size = gen_server:call(Server, {add, 0}),
        gen_server:stop(Server),
        Size / Seconds
    end).

call_all(_Server, _One, 0) -> ok;
call_all(Server, One, Left) ->
    _ = gen_server:call(Server, {add, One}),
    call_all(Server, One, Left - 1).

%% Round trips per second between two bare processes.

ping_pong(Size) ->
    in_process(fun() ->
        Ponger = spawn_link(fun pong/0),
        Seconds = seconds(fun() -> ping(Ponger, Size) end),
        Ponger ! stop,
        Size / Seconds
    end).

ping(_Ponger, 0) -> ok;
ping(Ponger, Left) ->
    Ponger ! {ping, self(), Left},
    receive {pong, Left} -> ping(Ponger, Left - 1) end.

pong() ->
    receive
        {ping, From, Left} -> From ! {pong, Left}, pong();
        stop -> ok
    end.

%% Messages per second from one process to a thousand, in turn.

fan_out(Size) ->
    Width = min(?WIDTH, Size),
    Rounds = Size div Width,
    Me = self(),
    Sinks = [spawn_link(fun() -> sink(Me, 0, Rounds) end) || _ <- lists:seq(1, Width)],
    Seconds = seconds(fun() ->
        rounds(Sinks, one(), Rounds),
        [receive {all, Rounds} -> ok end || _ <- Sinks]
    end),
    Rounds * Width / Seconds.

rounds(_Sinks, _One, 0) -> ok;
rounds(Sinks, One, Left) ->
    [Sink ! {add, One} || Sink <- Sinks],
    rounds(Sinks, One, Left - 1).

%% Microseconds for each gen_server that is started, init/1 run and acknowledged.

start_servers(Size) ->
    Started = counters:new(1, []),
    {Seconds, Servers} = timed(fun() -> start_each(Started, Size) end),
    Size = counters:get(Started, 1),
    kill_all(Servers),
    Seconds * 1.0e6 / Size.

start_each(Started, Size) ->
    [begin {ok, Pid} = gen_server:start(?MODULE, Started, []), Pid end || _ <- lists:seq(1, Size)].

%% gen_servers started and stopped per second, one after the other.

start_stop(Size) ->
    Started = counters:new(1, []),
    Seconds = seconds(fun() -> start_and_stop(Started, Size) end),
    Size = counters:get(Started, 1),
    Size / Seconds.

start_and_stop(_Started, 0) -> ok;
start_and_stop(Started, Left) ->
    {ok, Pid} = gen_server:start(?MODULE, Started, []),
    ok = gen_server:stop(Pid),
    start_and_stop(Started, Left - 1).

%% Timers set and cancelled per second.

timers(Size) ->
    in_process(fun() ->
        {Seconds, Live} = timed(fun() ->
            Set = [erlang:send_after(60000 + N rem 1000, self(), {add, N}) || N <- lists:seq(1, Size)],
            length([Left || Timer <- Set, is_integer(Left = erlang:cancel_timer(Timer))])
        end),
        Size = Live,
        Size / Seconds
    end).

%% Bytes of one idle gen_server.

idle_bytes(Size) ->
    Started = counters:new(1, []),
    erlang:garbage_collect(),
    Before = erlang:memory(processes),
    Servers = start_each(Started, Size),
    Bytes = (erlang:memory(processes) - Before) / Size,
    Size = counters:get(Started, 1),
    kill_all(Servers),
    Bytes.

%% The rate of one busy process among idle ones, as a share of its rate alone.

busy_among_idle(Size) ->
    Work = 20 * min(Size, 50000),
    Alone = median([flood(Work) || _ <- lists:seq(1, 3)]),
    Servers = start_each(counters:new(1, []), Size),
    Among = median([flood(Work) || _ <- lists:seq(1, 3)]),
    kill_all(Servers),
    Among / Alone.

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

kill_all(Servers) ->
    Monitors = [monitor(process, Pid) || Pid <- Servers],
    [exit(Pid, kill) || Pid <- Servers],
    [receive {'DOWN', Monitor, process, _, _} -> ok end || Monitor <- Monitors],
    ok.

%% A one the compiler does not know: messages of literals would be made once and never again.
one() -> rand:uniform(1).

median(Values) -> lists:nth((length(Values) + 1) div 2, lists:sort(Values)).

%% The server: a counter. With a counters reference it also counts that it was started.

init(none) -> {ok, 0};
init(Started) ->
    counters:add(Started, 1, 1),
    {ok, 0}.

handle_call({add, N}, _From, Sum) -> {reply, Sum + N, Sum + N}.

handle_cast({add, N}, Sum) -> {noreply, Sum + N}.

handle_info(_Message, Sum) -> {noreply, Sum}.
