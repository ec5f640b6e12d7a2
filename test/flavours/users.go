package flavours

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"rkt/internal/linux/linuxtest"
	"rkt/test/probe/report"
)

func checkDiskSize(p *place) {
	o := options{flags: []string{"--disk=64Mi"}}
	if p.flavour.Machine {
		const bytes = 64 << 20
		r := p.runWith(o, "--", "facts")
		if f := p.factsOf(r); f.Disk > bytes || f.Disk < bytes/2 || strings.Contains(r.stderr, "warning") {
			p.Errorf("the disk holds %d bytes, stderr %q", f.Disk, r.stderr)
		}
		return
	}
	said := "warning: a container keeps what apps write in the pod's directory: the size of its disk is ignored\n"
	if p.flavour.Isolation == "none" {
		said = "run: warning: --disk option is not supported by stage1\n"
	}
	r := p.runWith(o, "--", "exit", "0")
	r.want(0)
	if r.stderr != said {
		p.Errorf("stderr %q, want %q", r.stderr, said)
	}
	if r = p.run("--", "exit", "0"); r.stderr != "" {
		p.Errorf("without the flag: %q", r.stderr)
	}
}

func checkNoOverlay(p *place) {
	o := options{flags: []string{"--no-overlay"}}
	if p.flavour.Machine {
		r := p.runWith(o, "--", "exit", "0")
		r.want(0)
		if !strings.Contains(r.stderr, "--no-overlay has no effect") {
			p.Errorf("stderr %q", r.stderr)
		}
		return
	}
	for range 2 {
		r := p.runWith(o, "--", "mark", "/mark")
		r.want(0)
		if got := r.lines(); len(got) != 1 || got[0] != "new" {
			p.Errorf("the file was %q", got)
		}
	}
	f := p.factsOf(p.runWith(o, "--user=/etc/owned", "--", "facts"))
	if f.UID != 1234 {
		p.Errorf("a file of the copy belongs to %d", f.UID)
	}
	if root := rootMount(f); root.Filesystem == "" || root.Filesystem == "overlay" {
		p.Errorf("the root is %+v", root)
	}
}

// rootMount is what an app has as its root.
func rootMount(f report.Facts) (root report.Mount) {
	for _, m := range f.Mounts {
		if m.Point == "/" {
			root = m
		}
	}
	return root
}

// idsOf reads the ids that a pod has on the host.
func (p *place) idsOf(text string) (first, count uint32) {
	p.Helper()
	f := p.parseFacts(text)
	if n, err := fmt.Sscanf(f.UIDMap, "0 %d %d", &first, &count); n != 2 || f.UID != 0 {
		p.Fatalf("uid %d, ids %q: %v", f.UID, f.UIDMap, err)
	}
	return first, count
}

func checkPrivateUsers(p *place) {
	o := options{flags: []string{"--private-users"}}
	if p.flavour.Machine {
		r := p.runWith(o, "--", "exit", "0")
		r.want(254)
		if !strings.Contains(r.stderr, "--private-users is for containers") {
			p.Errorf("stderr %q", r.stderr)
		}
		return
	}
	var pods [2]*running
	var first, count [2]uint32
	for i := range pods {
		pods[i] = p.start(o, "--", "facts", "-stay")
		uuid := pods[i].ready()
		said, _, _ := strings.Cut(p.rkt("logs", uuid), "\n")
		first[i], count[i] = p.idsOf(said)
		file := p.data + "/pods/run/" + uuid + "/private-users-prepared"
		if b, err := os.ReadFile(file); string(b) != fmt.Sprintf("%d:%d\n", first[i], count[i]) {
			p.Errorf("the pod has ids from %d on, and says %q, %v", first[i], b, err)
		}
		if owner := ownerOf(p, uuid); owner < first[i] || owner-first[i] >= count[i] {
			p.Errorf("the pod has ids from %d on, but its app is %d", first[i], owner)
		}
	}
	if count[0] != 65536 || count[1] != 65536 || first[0] == first[1] || first[0]%65536 != 0 || first[1]%65536 != 0 {
		p.Errorf("ids from %d and %d on, %d and %d of them", first[0], first[1], count[0], count[1])
	}
	for _, pod := range pods {
		uuid := pod.ready()
		p.rkt("stop", uuid)
		pod.wait()
	}
	for _, pod := range pods {
		uuid := pod.wait().uuid
		p.rkt("rm", uuid)
		if left := leftBy(p.data, uuid); len(left) > 0 {
			p.Errorf("left behind: %q", left)
		}
	}
}

// ownerOf returns as whom the deepest process of a pod runs, as the host sees it.
func ownerOf(p *place, uuid string) (uid uint32) {
	p.Helper()
	pid := 0
	if _, err := fmt.Sscan(p.podFile(uuid, "pid"), &pid); err != nil {
		p.Fatal(err)
	}
	pids := linuxtest.Descendants(pid)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[len(pids)-1]))
	if err != nil {
		p.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "\nUid:")
	if _, err := fmt.Sscan(line, &uid); err != nil {
		p.Fatal(err)
	}
	return uid
}

// podFile reads a file of a running pod.
func (p *place) podFile(uuid, name string) string {
	p.Helper()
	b, err := os.ReadFile(p.data + "/pods/run/" + uuid + "/" + name)
	if err != nil {
		p.Fatal(err)
	}
	return string(b)
}

func checkPrivateUsersWork(p *place) {
	flags := []string{"--private-users"}
	if p.flavour.Machine {
		return // they are as ever in all other rows
	}
	// What is in the way of overlays is that a directory comes where the image has
	// something.
	r := p.runWith(options{flags: flags}, "--", "replace", "/etc/owned")
	r.want(0)
	var made []report.File
	if err := json.Unmarshal([]byte(strings.Join(r.lines(), "\n")), &made); err != nil || len(made) != 1 || made[0].UID != 0 {
		p.Errorf("made %+v, %v", made, err)
	}
	f := p.factsOf(p.runWith(options{flags: flags}, "--user=/etc/owned", "--", "facts"))
	if f.UID != 1234 {
		p.Errorf("a file of alice's belongs to %d", f.UID)
	}
	r = p.runWith(options{flags: flags}, "--name=server", "--", "listen", "127.0.0.1:80", "---",
		p.suite.image, "--name=client", "--", "connect", "localhost:80", "hello")
	r.want(0)
	pod := p.start(options{flags: flags}, "--", "facts", "-stay")
	uuid := pod.ready()
	app := p.parseFacts(strings.SplitN(p.rkt("logs", uuid), "\n", 2)[0])
	command := p.parseFacts(p.rkt("exec", uuid, "/probe", "facts"))
	if command.UIDMap != app.UIDMap || command.UID != 0 || command.Status["CapEff"] != app.Status["CapEff"] {
		p.Errorf("the command has ids %q, uid %d, capabilities %s; the app %q, %s",
			command.UIDMap, command.UID, command.Status["CapEff"], app.UIDMap, app.Status["CapEff"])
	}
	p.rkt("stop", uuid)
	pod.wait()
}

func checkIPC(p *place) {
	hosts, err := os.Readlink("/proc/self/ns/ipc")
	if err != nil {
		p.Fatal(err)
	}
	shared := func(mode string) bool {
		p.Helper()
		f := p.factsOf(p.runWith(options{flags: []string{"--ipc=" + mode}}, "--", "facts"))
		return strings.HasPrefix(f.Namespaces["ipc"], hosts)
	}
	refused := func(mode, why string) {
		p.Helper()
		r := p.runWith(options{flags: []string{"--ipc=" + mode}}, "--", "facts")
		r.want(254)
		if !strings.Contains(r.stderr, why) {
			p.Errorf("--ipc=%s: stderr %q", mode, r.stderr)
		}
	}
	refused("public", `IPC mode "public" is none of auto, private, parent`)
	switch {
	case p.flavour.Machine: // whose kernel's namespace may have the same number
		refused("parent", "requires private IPC namespace")
		p.runWith(options{flags: []string{"--ipc=private"}}, "--", "exit", "0").want(0)
	case p.flavour.Isolation == "none":
		refused("private", "no IPC namespace of their own")
		if !shared("auto") {
			p.Error("auto is not the host's")
		}
	default:
		if !shared("parent") || shared("private") || shared("auto") {
			p.Error("the namespace is not as was said")
		}
	}
}
