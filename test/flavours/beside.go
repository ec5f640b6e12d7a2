package flavours

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// beside is a pod whose app sleeps, and what runs beside that.
type beside struct {
	*running
	uuid string
}

func (p *place) beside(flags ...string) *beside {
	p.Helper()
	r := p.start(options{}, append(flags, "--", "sleep", "-status", "4")...)
	return &beside{r, r.ready()}
}

// end ends the pod in order.
func (b *beside) end() {
	b.Helper()
	b.rkt("stop", b.uuid)
	b.wait().want(4)
}

// exec runs a command with some input and returns its outputs and exit status.
func (b *beside) exec(input []byte, args ...string) (stdout, stderr string, status int) {
	b.Helper()
	cmd := b.command(append([]string{"exec"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		b.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func checkExecStdio(p *place) {
	b := p.beside()
	defer b.end()
	out, errs, status := b.exec(nil, b.uuid, "/probe", "print", "-out", "one\n", "-err", "two\r\x01")
	if out != "one\n" || errs != "two\r\x01" || status != 0 {
		p.Errorf("stdout %q, stderr %q, status %d", out, errs, status)
	}
	if _, _, status := b.exec(nil, b.uuid, "/probe", "exit", "9"); status != 9 {
		p.Errorf("status %d, want 9", status)
	}
	if _, _, status := b.exec(nil, b.uuid, "/probe", "die", "9"); status != 128+9 {
		p.Errorf("after a signal: status %d", status)
	}
	_, errs, status = b.exec(nil, b.uuid, "/nothing")
	if status != 254 || !strings.Contains(errs, "/nothing") {
		p.Errorf("no such program: status %d, %q", status, errs)
	}
	// More than any buffer on the way holds.
	b.execMuch(p.suite.execBytes)
}

// execMuch sends so many bytes through a command and compares what comes back.
func (b *beside) execMuch(size int64) {
	b.Helper()
	cmd := b.command("exec", "-i", b.uuid, "/probe", "copy")
	in, out := sha256.New(), sha256.New()
	source := rand.NewChaCha8([32]byte{1})
	cmd.Stdin, cmd.Stdout = io.TeeReader(io.LimitReader(source, size), in), out
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d MiB there and back in %v", size>>20, time.Since(begin).Round(time.Millisecond))
	if !bytes.Equal(in.Sum(nil), out.Sum(nil)) {
		b.Error("what came back is something else")
	}
}

// answerTime is how long a command may take to answer, on a host that has nothing
// else to do.
const answerTime = time.Second

// checkExecNobodyReads has everything else happen while a client does not read.
// How long that takes is judged in a soak only, which has the host for itself.
func checkExecNobodyReads(p *place) {
	b := p.beside()
	stuck := p.command("exec", b.uuid, "/probe", "zeros", strconv.Itoa(1<<40))
	out, err := stuck.StdoutPipe()
	if err == nil {
		err = stuck.Start()
	}
	if err == nil {
		_, err = io.ReadFull(out, make([]byte, 4<<20))
	}
	if err != nil {
		p.Fatal(err)
	}
	begin := time.Now()
	lap := func(what string) {
		took := time.Since(begin)
		p.Logf("%s: %v", what, took.Round(time.Millisecond))
		if took > answerTime && p.suite.soak {
			p.Errorf("%s took %v, more than %v", what, took, answerTime)
		}
		begin = time.Now()
	}
	if out, _, status := b.exec(nil, b.uuid, "/probe", "print", "-out", "x"); out != "x" || status != 0 {
		p.Errorf("exec: %q, status %d", out, status)
	}
	lap("exec")
	if got := p.rkt("logs", b.uuid); got != "ready\n" {
		p.Errorf("logs: %q", got)
	}
	lap("logs")
	b.end()
	lap("stop")
	out.Close()
	if err := stuck.Wait(); err == nil {
		p.Error("the client that never read ended well")
	}
}

func checkExecWrong(p *place) {
	b := p.beside()
	for want, args := range map[string][]string{
		`the pod has no app "other"`:       {"--app=other", b.uuid, "/probe"},
		"must provide a command":           {b.uuid},
		`"/etc/passwd"`:                    {b.uuid, "/etc/passwd"},
		"nobody-here":                      {"--user=nobody-here", b.uuid, "/probe"},
		"/nowhere":                         {"--workdir=/nowhere", b.uuid, "/probe"},
		`no matches found for "ffffffff-"`: {"ffffffff-", "/probe"},
		"must provide the UUID of a pod":   {},
		"there is no name":                 {"--env==x", b.uuid, "/probe"},
	} {
		_, errs, status := b.exec(nil, args...)
		if status != 254 || !strings.Contains(errs, want) || strings.Count(errs, "\n") > 2 {
			p.Errorf("%q: status %d, %q", args, status, errs)
		}
	}
	b.end()
	_, errs, status := b.exec(nil, b.uuid, "/probe")
	if status != 254 || !strings.Contains(errs, "isn't currently running") {
		p.Errorf("in a pod that has ended: status %d, %q", status, errs)
	}
}

func checkExecTerminal(p *place) {
	b := p.beside()
	defer b.end()
	out, errs, status := b.exec([]byte("hello\nquit\n"), "-i", "-t", b.uuid, "/probe", "tty")
	for _, want := range []string{"size 24x80, controlling terminal\r\n", `line "hello"`, "bye"} {
		if !strings.Contains(out, want) {
			p.Errorf("no %q in %q (%q)", want, out, errs)
		}
	}
	if status != 0 {
		p.Errorf("status %d", status)
	}
}

func checkExecUser(p *place) {
	b := p.beside("--user=alice", "--group=staff", "--supplementary-gids=7")
	defer b.end()
	f := p.parseFacts(p.rkt("exec", "--user=0", "--workdir=/etc", "--env=COLOUR=blue", b.uuid, "/probe", "facts"))
	if f.UID != 0 || f.GID != 0 || f.Dir != "/etc" || !slices.Contains(f.Env, "COLOUR=blue") {
		p.Errorf("uid %d, gid %d, directory %s, environment %q", f.UID, f.GID, f.Dir, f.Env)
	}
	f = p.parseFacts(p.rkt("exec", "--user=alice", b.uuid, "/probe", "facts"))
	if f.UID != 1234 || f.GID != 1235 || slices.Contains(f.Groups, 7) {
		p.Errorf("uid %d, gid %d, groups %v", f.UID, f.GID, f.Groups)
	}
	f = p.parseFacts(p.rkt("exec", "--privileged", b.uuid, "/probe", "facts"))
	const default14 = "00000000a80425fb"
	if f.UID != 0 || slices.Contains(f.Refused, "mount") || f.Status["CapEff"] != f.Status["CapBnd"] || f.Status["CapEff"] == default14 {
		p.Errorf("privileged: uid %d, refused %q, capabilities %s of %s", f.UID, f.Refused, f.Status["CapEff"], f.Status["CapBnd"])
	}
}

func checkExecEnds(p *place) {
	b := p.beside()
	cmd := p.command("exec", b.uuid, "/probe", "sleep", "-ignore")
	out := &transcript{}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	b.awaitText(out, "ready")
	b.end()
	if err := cmd.Wait(); err == nil {
		p.Error("a command that was killed ended with status 0")
	}
}

func checkEnter(p *place) {
	b := p.beside("--user=alice")
	defer b.end()
	f := p.parseFacts(p.rkt("enter", b.uuid, "/probe", "facts"))
	if f.UID != 1234 {
		p.Errorf("uid %d", f.UID)
	}
	out, err := p.command("enter", b.uuid).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `enter: no command specified, assuming "/bin/bash"`) {
		p.Errorf("without a command: %v, %q", err, out)
	}
}

func checkLogs(p *place) {
	b := p.beside()
	if got := p.rkt("logs", b.uuid); got != "ready\n" {
		p.Errorf("while it runs: %q", got)
	}
	b.end()
	for range 2 {
		if got := p.rkt("logs", b.uuid); got != "ready\nterminated\n" {
			p.Errorf("afterwards: %q", got)
		}
	}
	r := p.run("--", "print", "-out", "no end", "-err", "problem\n")
	r.want(0)
	got := strings.Split(strings.TrimSuffix(p.rkt("logs", r.uuid), "\n"), "\n")
	slices.Sort(got)
	if want := []string{"no end", "problem"}; !slices.Equal(got, want) {
		p.Errorf("both outputs: %q", got)
	}
}

func checkStopTimeout(p *place) {
	r := p.start(options{}, "--", "sleep", "-ignore")
	p.rkt("stop", "--timeout=0s", r.ready())
	r.wait().want(128 + 9)
}

func checkPrepared(p *place) {
	uuid := strings.TrimSpace(p.rkt("prepare", p.choose(), p.suite.image, "--name=app", "--", "exit", "6"))
	r := &result{place: p, uuid: uuid}
	r.wantStatus("state", "prepared")
	cmd := p.command("run-prepared", "--net=none", uuid)
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 6 {
		p.Errorf("run-prepared: %v", err)
	}
	r.wantStatus("app-app", "6")
}

func checkDetached(p *place) {
	uuid := strings.TrimSpace(p.rkt("run", "--net=none", p.choose(), "--detach", p.suite.image,
		"--name=app", "--", "sleep", "-status", "4"))
	r := &result{place: p, uuid: uuid}
	r.wantStatus("state", "running")
	p.awaitLog(uuid)
	p.rkt("stop", uuid)
	r.wantStatus("app-app", "4")
	p.rkt("rm", uuid)
}

// awaitLog returns when the app of a pod has written a line.
func (p *place) awaitLog(uuid string) {
	p.Helper()
	follow := p.command("logs", "--follow", uuid)
	out, err := follow.StdoutPipe()
	if err == nil {
		err = follow.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		p.Fatal(err)
	}
	_ = follow.Process.Kill()
	_ = follow.Wait() // it was killed
}

func checkRemoved(p *place) {
	r := p.runWith(options{flags: []string{"--rm"}}, "--", "exit", "5")
	r.want(5)
	if left := leftBy(p.data, r.uuid); len(left) > 0 {
		p.Errorf("left behind: %q", left)
	}
}
