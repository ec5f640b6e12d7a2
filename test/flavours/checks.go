package flavours

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"rkt/test/probe/report"
)

func checkOutput(p *place) {
	r := p.run("--", "print", "-out", "one\n", "-err", "two\n", "-lines", "2")
	r.want(0)
	got := r.lines()
	slices.Sort(got)
	want := []string{"0000000 ", "0000001 ", "one", "two"}
	if !slices.Equal(got, want) {
		p.Errorf("printed %q, want %q", got, want)
	}
}

func checkExitStatus(p *place) {
	r := p.run("--", "exit", "7")
	r.want(7)
	r.wantStatus("app-app", "7")
}

func checkSignal(p *place) {
	r := p.run("--", "die", "9")
	r.want(128 + 9)
	r.wantStatus("app-app", "137")
}

func checkMissing(p *place) {
	r := p.run("--exec=/nothing")
	r.want(254)
	if !strings.Contains(r.stderr, "/nothing") {
		p.Errorf("stderr: %q", r.stderr)
	}
}

func checkIsolation(p *place) {
	r := p.run("--", "exit", "0")
	r.want(0)
	r.wantStatus("isolation", p.flavour.Isolation)
}

// factsOf reads what the probe found out.
func (p *place) factsOf(r *result) report.Facts {
	p.Helper()
	r.want(0)
	return p.parseFacts(strings.Join(r.lines(), "\n"))
}

func (p *place) parseFacts(text string) report.Facts {
	p.Helper()
	var f report.Facts
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		p.Fatalf("%v: %q", err, text)
	}
	return f
}

// facts runs the probe and returns what it found out.
func (p *place) facts(args ...string) report.Facts {
	p.Helper()
	return p.factsOf(p.run(append(args, "--", "facts")...))
}

// factsOfTwo runs the probe as both apps of a pod, each with a flag, and returns
// what they found out. Where machines are slow, two pods would take twice as long.
func (p *place) factsOfTwo(first, second string) (both [2]report.Facts) {
	p.Helper()
	r := p.run("--name=app0", first, "--", "facts", "---", p.suite.image, "--name=app1", second, "--", "facts")
	r.want(0)
	lines := r.lines()
	if len(lines) != len(both) {
		p.Fatalf("printed %q", lines)
	}
	for _, line := range lines {
		f := p.parseFacts(line)
		i := slices.IndexFunc([]string{"AC_APP_NAME=app0", "AC_APP_NAME=app1"}, func(v string) bool { return slices.Contains(f.Env, v) })
		if i < 0 {
			p.Fatalf("no name of an app in %q", f.Env)
		}
		both[i] = f
	}
	return both
}

func checkEnvironment(p *place) {
	f := p.facts("--environment=PRICE=$5 for %h")
	for _, want := range []string{
		"AC_APP_NAME=app", "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "PRICE=$5 for %h",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	} {
		if !slices.Contains(f.Env, want) {
			p.Errorf("no %q in %q", want, f.Env)
		}
	}
}

func checkUser(p *place) {
	f := p.facts("--user=alice", "--group=staff", "--working-dir=/etc")
	if f.UID != 1234 || f.GID != 1300 || f.Dir != "/etc" {
		p.Errorf("uid %d, gid %d, directory %q", f.UID, f.GID, f.Dir)
	}
}

func checkWritable(p *place) {
	for range 2 {
		r := p.run("--", "mark", "/mark")
		r.want(0)
		if got := r.lines(); !slices.Equal(got, []string{"new"}) {
			p.Errorf("the file was %q", got)
		}
	}
}

func checkInteractive(p *place) {
	r := p.runWith(options{stdin: "hello\n", flags: []string{"--interactive"}}, "--", "echo")
	r.want(0)
	if want := "ready\nhello\nend after 6 bytes\n"; r.stdout != want {
		p.Errorf("stdout %q, want %q", r.stdout, want)
	}
}

func checkSeveralApps(p *place) {
	r := p.run("--name=server", "--", "listen", "127.0.0.1:7000", "---",
		p.suite.image, "--name=client", "--", "connect", "localhost:7000", "hello")
	r.want(0)
	got := r.lines()
	slices.Sort(got)
	if want := []string{"answer hello hello", "got hello"}; !slices.Equal(got, want) {
		p.Errorf("printed %q, want %q", got, want)
	}
}

func checkFirstFailure(p *place) {
	r := p.run("--name=first", "--", "sleep", "-status", "4", "-announce", "127.0.0.1:7000", "---",
		p.suite.image, "--name=second", "--", "exit", "-after", "127.0.0.1:7000", "3")
	r.want(3)
	r.wantStatus("app-first", "4")
	r.wantStatus("app-second", "3")
}

func checkCapabilities(p *place) {
	const usual, none = "00000000a80425fb", "0000000000000000"
	both := p.factsOfTwo("--user=root", "--user=alice")
	root, user := both[0], both[1]
	if root.Status["CapEff"] != usual || root.Status["CapBnd"] != usual || user.Status["CapEff"] != none {
		p.Errorf("root has %s of %s, a user %s", root.Status["CapEff"], root.Status["CapBnd"], user.Status["CapEff"])
	}
}

func checkSeccomp(p *place) {
	f := p.facts()
	if f.Status["Seccomp"] != "2" {
		p.Errorf("Seccomp: %s", f.Status["Seccomp"])
	}
}

// refused returns which of some system calls a probe was refused with EPERM.
func refused(f report.Facts, calls ...string) []string {
	return slices.DeleteFunc(calls, func(c string) bool { return !slices.Contains(f.Refused, c) })
}

func checkSeccompFlag(p *place) {
	type filter struct {
		flag    string
		refused []string // of the calls below
	}
	for _, pair := range [][2]filter{
		{
			{"mode=retain,@docker/default-whitelist,add_key", []string{"keyctl", "userfaultfd"}},
			{"mode=retain,@appc.io/all", nil},
		},
		{
			// Not all of @systemd/process: without clone the probe would not get far.
			{"mode=remove,keyctl,setns", []string{"keyctl"}},
			{"mode=remove,errno=ENOSYS,keyctl", nil},
		},
	} {
		both := p.factsOfTwo("--seccomp="+pair[0].flag, "--seccomp="+pair[1].flag)
		for i, filter := range pair {
			if got := refused(both[i], "add_key", "keyctl", "userfaultfd"); !slices.Equal(got, filter.refused) {
				p.Errorf("%s: refused %q, want %q", filter.flag, got, filter.refused)
			}
		}
	}
}

func checkCapabilityFlags(p *place) {
	const some, most = "0000000000001020", "00000000a00405fb"
	for i, f := range p.factsOfTwo("--caps-retain=CAP_KILL,CAP_NET_ADMIN", "--caps-remove=CAP_MKNOD,CAP_NET_RAW") {
		if want := [2]string{some, most}[i]; f.Status["CapEff"] != want || f.Status["CapBnd"] != want {
			p.Errorf("%s of %s, want %s", f.Status["CapEff"], f.Status["CapBnd"], want)
		}
	}
}

func checkOOMScore(p *place) {
	if f := p.facts("--oom-score-adj=321"); f.OOMScore != "321" {
		p.Errorf("score %s", f.OOMScore)
	}
}

func checkEventHandlers(p *place) {
	r := p.runWith(options{image: p.suite.handlers}, "--user=alice", "--", "print", "-out", "between\n")
	r.want(0)
	got := r.lines()
	if len(got) != 3 || got[1] != "between" {
		p.Fatalf("printed %q", got)
	}
	for _, i := range []int{0, 2} {
		f := p.parseFacts(got[i])
		if f.UID != 0 || f.GID != 0 || f.Status["CapBnd"] != "00000000a80425fb" || f.Status["Seccomp"] != "2" {
			p.Errorf("handler: uid %d, gid %d, capabilities %s, filter %s", f.UID, f.GID, f.Status["CapBnd"], f.Status["Seccomp"])
		}
		if !slices.Contains(f.Env, "AC_APP_NAME=app") {
			p.Errorf("handler: %q", f.Env)
		}
	}
}

func checkPreStartFails(p *place) {
	r := p.runWith(options{image: p.suite.failing}, "--", "print", "-out", "never\n")
	r.want(254)
	if strings.Contains(r.stdout, "never") || !strings.Contains(r.stderr, "pre-start") {
		p.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
}

func checkNoNewPrivileges(p *place) {
	f := p.factsOf(p.runWith(options{image: p.suite.strict}, "--", "facts"))
	if f.Status["NoNewPrivs"] != "1" {
		p.Errorf("NoNewPrivs: %s", f.Status["NoNewPrivs"])
	}
}

func checkDevices(p *place) {
	r := p.run("--", "devices")
	r.want(0)
	tried := 0
	for _, line := range r.lines() {
		var a report.Attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			p.Fatalf("%v: %q", err, line)
		}
		tried++
		if a.Opened() && a.Name != "null" {
			p.Errorf("opened %s (%d:%d)", a.Name, a.Major, a.Minor)
		}
	}
	if tried < 2 {
		p.Errorf("only %d devices were tried", tried)
	}
}

func checkProcesses(p *place) {
	f := p.facts()
	if f.Init.Name != "systemd" || f.Parent != f.Init || f.PID == 1 {
		p.Errorf("process %d, child of %+v, below %+v", f.PID, f.Parent, f.Init)
	}
}

func checkHostname(p *place) {
	f := p.factsOf(p.runWith(options{flags: []string{"--hostname=wonderland"}}, "--", "facts"))
	if f.Hostname != "wonderland" {
		p.Errorf("host name %q", f.Hostname)
	}
}

func checkNoNetwork(p *place) {
	r := p.run("--", "links")
	r.want(0)
	for _, line := range r.lines() {
		word, _, _ := strings.Cut(line, " ")
		if word != "lo" && word != "open" && !strings.HasPrefix(word, "/") {
			p.Errorf("there is %q", line)
		}
	}
}

// checkExec compares what an app and a command beside it find out.
func checkExec(p *place) {
	p.compareExec("--user=alice", "--group=staff", "--supplementary-gids=7,9")
}

// checkExecIsolators does so for an app with isolators of every kind.
func checkExecIsolators(p *place) {
	p.compareExec("--seccomp=mode=retain,@rkt/default-whitelist,keyctl", "--caps-retain=CAP_KILL,CAP_SYS_ADMIN", "--oom-score-adj=200")
	p.compareExec("--user=alice", "--seccomp=mode=remove,seccomp,ptrace,syslog", "--caps-remove=CAP_KILL")
}

func (p *place) compareExec(flags ...string) {
	p.Helper()
	running := p.start(options{}, append(flags, "--", "facts", "-stay")...)
	uuid := running.ready()
	beside := p.parseFacts(p.rkt("exec", uuid, "/probe", "facts"))
	p.rkt("stop", uuid)
	app := p.parseFacts(running.wait().lines()[0])
	if beside.UID != app.UID || beside.GID != app.GID || !slices.Equal(beside.Groups, app.Groups) {
		p.Errorf("uid %d, gid %d, groups %v beside %d, %d, %v", beside.UID, beside.GID, beside.Groups, app.UID, app.GID, app.Groups)
	}
	for _, name := range []string{
		"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters",
		"Umask", "Cpus_allowed", "SigBlk", "SigIgn",
	} {
		if beside.Status[name] != app.Status[name] {
			p.Errorf("%s is %q, not %q", name, beside.Status[name], app.Status[name])
		}
	}
	if !slices.Equal(beside.Limits, app.Limits) || !slices.Equal(beside.Refused, app.Refused) {
		p.Errorf("limits %q and refused system calls %q, not %q and %q", beside.Limits, beside.Refused, app.Limits, app.Refused)
	}
	if unified(beside.Cgroup) != unified(app.Cgroup) {
		p.Errorf("control group %q, not %q", beside.Cgroup, app.Cgroup)
	}
	if beside.Dir != app.Dir || beside.OOMScore != app.OOMScore || !maps.Equal(beside.Namespaces, app.Namespaces) {
		p.Errorf("directory %s, score %s, namespaces %q, not %s, %s, %q",
			beside.Dir, beside.OOMScore, beside.Namespaces, app.Dir, app.OOMScore, app.Namespaces)
	}
	slices.Sort(beside.Env)
	slices.Sort(app.Env)
	if !slices.Equal(beside.Env, app.Env) {
		p.Errorf("environment %q, not %q", beside.Env, app.Env)
	}
}

// unified returns the group of the hierarchy of control groups v2.
func unified(groups string) string {
	_, group, _ := strings.Cut("\n"+groups, "\n0::")
	group, _, _ = strings.Cut(group, "\n")
	return group
}
