"""parts: what a short pass runs, `pytest --part=threads`: these files, over these ways. The whole of tests/e2e runs once in
.ci/run, under the sanitizer of addresses; other builds and settings get the part that may differ there. `make check-all` leaves
nothing out.

SPDX-License-Identifier: MIT"""

# Each transport and each dialect once. A test that knows none of them is run over the first of its own.
WAYS = {"tcp-v2", "ws-v1-json", "wss-v2"}

PARTS = {
    # What the release build promises: how many, how much memory, each of its calls that fails; and what is made of it.
    "release": {"test_bench_million", "test_cli", "test_cli_bench", "test_cli_comet", "test_comet_c", "test_conservation",
                "test_docs_commands", "test_faults", "test_hostile", "test_hostile_http", "test_limits", "test_log_faults",
                "test_long", "test_monitoring", "test_package", "test_scale", "test_slow_consumer", "test_storm", "test_tls"},
    # Threads that meet: for the sanitizer of threads.
    "threads": {"test_auth_jwt", "test_auth_webhook", "test_conservation", "test_deflate", "test_drain", "test_drip", "test_faults", "test_handshake",
                "test_heartbeat", "test_hostile", "test_hostile_http", "test_http_keys", "test_http_tls", "test_kick", "test_limits",
                "test_log_faults", "test_long", "test_malformed", "test_metrics", "test_ops", "test_push", "test_reload",
                "test_replace", "test_room", "test_scale", "test_slow_consumer", "test_storm", "test_tls", "test_websocket"},
    # Two threads a connection, for its whole life: for protocol.park=off.
    "blocking": {"test_conservation", "test_deflate", "test_drain", "test_drip", "test_faults", "test_handshake", "test_heartbeat", "test_hostile",
                 "test_kick", "test_limits", "test_long", "test_malformed", "test_ops", "test_push", "test_replace", "test_room", "test_scale",
                 "test_slow_consumer", "test_storm", "test_tls", "test_websocket"},
    # Who writes to a connection: for protocol.baton=off.
    "dispatch": {"test_conservation", "test_deflate", "test_drain", "test_heartbeat", "test_hostile", "test_kick", "test_ops", "test_push",
                 "test_replace", "test_room", "test_slow_consumer", "test_storm"},
    # What logic answers: for a logic behind Redis.
    "logic": {"test_api", "test_auth_jwt", "test_auth_webhook", "test_conservation", "test_drain", "test_faults_cluster",
              "test_handshake", "test_heartbeat", "test_http_keys", "test_kick", "test_limits", "test_logic_door", "test_logs",
              "test_metrics", "test_ops", "test_push", "test_reload", "test_replace", "test_room", "test_storm"},
}
