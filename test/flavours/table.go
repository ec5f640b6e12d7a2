package flavours

// Behaviour is a row of the table.
type Behaviour struct {
	// Name is the test's.
	Name string
	// Promise is what a user reads.
	Promise string
	// Without says for which flavours it does not hold, and why.
	Without map[string]string

	check func(*place)
}

// What fly is without, on purpose.
const (
	oneApp      = "one app a pod"
	noIsolators = "isolators are not applied"
	noNetwork   = "the host's network"
	noIsolation = "no isolation"
)

// Behaviours returns all rows.
func Behaviours() []Behaviour {
	fly := func(why string) map[string]string { return map[string]string{Fly: why} }
	return []Behaviour{
		{"Output", "what an app writes to stdout and stderr is printed", nil, checkOutput},
		{"ExitStatus", "the app's exit status is rkt's, and `rkt status` shows it", nil, checkExitStatus},
		{"Signal", "an app that a signal ended counts as 128 and the signal's number", nil, checkSignal},
		{"Missing", "a program that isn't there is named, status 254", nil, checkMissing},
		{"Isolation", "`rkt status` says what is around the pod", nil, checkIsolation},
		{"Environment", "`PATH`, `HOME` and the like, and `AC_APP_NAME`, are set", nil, checkEnvironment},
		{"User", "user and group by name, the working directory", nil, checkUser},
		{"Writable", "each pod writes to its own copy of the image", nil, checkWritable},
		{"DiskSize", "`--disk` bounds what apps write; a flavour without a disk of the pod's own says that it does not", nil, checkDiskSize},
		{"NoOverlay", "`--no-overlay` gives an app a copy of its image; a machine says that it has overlays of its own", nil, checkNoOverlay},
		{"PrivateUsers", "`--private-users`: a pod's ids are those of nobody else on the host; a machine, in which all ids are its own, refuses it", fly(noIsolation), checkPrivateUsers},
		{"PrivateUsersWork", "with that, low ports, images' files and commands beside apps are as ever", fly(noIsolation), checkPrivateUsersWork},
		{"IPC", "`--ipc` says whose shared memory and semaphores apps have; what a flavour can't give it refuses", nil, checkIPC},
		{"Stop", "`rkt stop` sends SIGTERM and waits", nil, checkStop},
		{"StopForce", "`rkt stop --force` kills", nil, checkStopForce},
		{"Killed", "`kill -9` of any process of a pod leaves nothing after `rkt gc`", nil, checkKilled},
		{"Interactive", "`--interactive` passes stdin on", nil, checkInteractive},
		{"Exec", "`rkt exec` runs a program beside an app, as confined", nil, checkExec},
		{"ExecIsolators", "also beside an app with isolators", fly(noIsolators), checkExecIsolators},
		{"ExecStdio", "a command's input, both its outputs and its status are passed on, bytes as they are", nil, checkExecStdio},
		{"ExecTerminal", "`rkt exec --tty` gives a command a terminal", nil, checkExecTerminal},
		{"ExecUser", "`--user`, `--group`, `--workdir`, `--env` and `--privileged` change who and where a command is", nil, checkExecUser},
		{"ExecEnds", "a command ends with the pod", nil, checkExecEnds},
		{"ExecNobodyReads", "a client that never reads delays neither another one, nor `rkt logs`, nor `rkt stop`", nil, checkExecNobodyReads},
		{"ExecWrong", "a command, an app or a pod that is not there is named, status 254", nil, checkExecWrong},
		{"Enter", "`rkt enter` runs a command beside an app, `/bin/bash` if none is given", nil, checkEnter},
		{"Logs", "`rkt logs` prints what the apps have written, also when the pod has ended", nil, checkLogs},
		{"StopTimeout", "`rkt stop --timeout` kills an app that does not end in time", nil, checkStopTimeout},
		{"Prepared", "`rkt prepare` makes a pod, `rkt run-prepared` runs it", nil, checkPrepared},
		{"Detached", "`rkt run --detach` returns when the app runs", nil, checkDetached},
		{"Removed", "`rkt run --rm` leaves nothing of the pod", nil, checkRemoved},
		{"SeveralApps", "several apps in a pod, on one localhost", fly(oneApp), checkSeveralApps},
		{"FirstFailure", "the first app that fails ends the pod", fly(oneApp), checkFirstFailure},
		{"Capabilities", "root has 14 capabilities, a user none", fly(noIsolators), checkCapabilities},
		{"Seccomp", "system calls are filtered", fly(noIsolators), checkSeccomp},
		{"SeccompFlag", "`--seccomp` and its isolators: lists of system calls, allowed or withheld, with names for sets", fly(noIsolators), checkSeccompFlag},
		{"CapabilityFlags", "`--caps-retain` and `--caps-remove`", fly(noIsolators), checkCapabilityFlags},
		{"OOMScore", "`--oom-score-adj`", fly(noIsolators), checkOOMScore},
		{"EventHandlers", "event handlers run as root before the app starts and after it has ended", fly(noIsolators), checkEventHandlers},
		{"PreStartFails", "an event handler that fails before the start ends the pod", fly(noIsolators), checkPreStartFails},
		{"NoNewPrivileges", "the isolator for no new privileges", fly(noIsolators), checkNoNewPrivileges},
		{"Devices", "no device but a few harmless ones can be opened", fly(noIsolation), checkDevices},
		{"Processes", "other processes of the host are not seen", fly(noIsolation), checkProcesses},
		{"Hostname", "the pod has a host name of its own", fly(noIsolation), checkHostname},
		{"NoNetwork", "`--net=none` leaves loop-back only", fly(noNetwork), checkNoNetwork},
	}
}
