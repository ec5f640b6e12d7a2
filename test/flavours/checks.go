package flavours

import (
	"encoding/json"
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
	root := p.facts()
	user := p.facts("--user=alice")
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
	running := p.start(options{}, "--user=alice", "--group=staff", "--", "facts", "-stay")
	uuid := running.ready()
	beside := p.parseFacts(p.rkt("exec", uuid, "/probe", "facts"))
	p.rkt("stop", uuid)
	app := p.parseFacts(running.wait().lines()[0])
	if beside.UID != app.UID || beside.GID != app.GID || !slices.Equal(beside.Groups, app.Groups) {
		p.Errorf("uid %d, gid %d, groups %v beside %d, %d, %v", beside.UID, beside.GID, beside.Groups, app.UID, app.GID, app.Groups)
	}
	for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"} {
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
}

// unified returns the group of the hierarchy of control groups v2.
func unified(groups string) string {
	_, group, _ := strings.Cut("\n"+groups, "\n0::")
	group, _, _ = strings.Cut(group, "\n")
	return group
}
