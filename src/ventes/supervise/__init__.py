"""The services: started in order, restarted, watched, stopped.

services           the five services as data
supervisor         all services together (pure)
service_state      one service: its state and what happens next (pure)
states             the names of the states
restart            whether a service that ended is started again (pure)
watchdog           which service hangs (pure)
service_records    what was started, and what became of it
daemon             the supervisor as a program
control            the control socket, as a client
control_server     the control socket, in the supervisor
requests           what is asked over it
startup            `ventes start`
start_progress     what a start says
visible            whether sales can be seen in Silver
shutdown           `ventes stop`
preflight          what is checked before anything is started
orphans            what a killed supervisor left behind
processes          processes started and ended
ports              who holds a port
"""
