"""The services: starting in order, restarting, watching, stopping.

services           the services as data
supervisor         all services together (pure)
service_state      one service: its state and next action (pure)
states             the names of the states
restart            whether a service that ended is started again (pure)
watchdog           detects services that hang (pure)
service_records    the supervisor's list of started services
daemon             the supervisor as a program
control            the control socket, as a client
control_server     the control socket, in the supervisor
requests           the requests and events of the control socket
startup            `ventes start`
start_progress     the output of a start
outdated           whether the settings or the declaration changed since the services started
visible            checks that events are visible in Silver
shutdown           `ventes stop`
preflight          checks before anything is started
orphans            services of a killed supervisor
processes          starting and ending processes
metrics            metrics in Prometheus' text format, served by the supervisor
ports              which process listens on a port
"""
