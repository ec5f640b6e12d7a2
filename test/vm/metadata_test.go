package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"rkt/internal/metadata"
)

// serveMetadata starts the metadata service and waits until it is there.
func (h *host) serveMetadata() *exec.Cmd {
	h.Helper()
	said := newTranscript()
	cmd := h.command("metadata-service")
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	said.await(h, "Metadata service running")
	return cmd
}

// stay starts a pod that asks the metadata service and then waits, and returns
// it with where it asks.
func (h *host) stay(f flavour) (p *pod, url string) {
	h.Helper()
	p = h.startIn(f, "--net=default", "--mds-register", probeID(h.T), "--name=app", "--", "metadata", "-stay")
	p.out.await(h, "ready")
	for _, line := range texts(h, p.out.String(), "app") {
		if address, ok := strings.CutPrefix(line, "url "); ok {
			url = address
		}
	}
	return p, url
}

// registrations are the files of pods that the metadata service answers.
func (h *host) registrations() []string {
	h.Helper()
	files, err := filepath.Glob(filepath.Join(metadata.DefaultDirectory.Registrations(), "*.json*"))
	if err != nil {
		h.Fatal(err)
	}
	return files
}

// TestMetadataService: pods of both kinds learn about themselves, and nobody else
// does, whoever was killed meanwhile.
func TestMetadataService(t *testing.T) {
	h, before := needNetwork(t)
	r := h.rkt("run", "--net=default", "--mds-register", probeID(t))
	if r.Status != 254 || !strings.HasPrefix(r.Stderr, "run: could not reach the metadata service.") || !strings.Contains(r.Stderr, "\nhint: ") {
		t.Errorf("without the service: status %d\n%s", r.Status, r.Stderr)
	}
	if pods := h.podDirs(); len(pods) > 0 {
		t.Errorf("without the service there are pods: %q", pods)
	}
	r = h.rkt("run", "--net=none", "--mds-register", probeID(t))
	if r.Status != 254 || !strings.Contains(r.Stderr, "the pod has no address of its own") {
		t.Errorf("without a network: status %d\n%s", r.Status, r.Stderr)
	}
	service := h.serveMetadata()
	var pods []*pod
	var urls []string
	for _, f := range flavours() {
		p, url := h.stay(f)
		pods, urls = append(pods, p), append(urls, url)
		h.expectAnswers(p, url)
	}
	h.expectClosed(urls)
	// What is signed by one service is so for the next.
	if err := service.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = service.Wait()
	h.serveMetadata()
	for _, p := range pods {
		said := h.must("exec", p.uuid(), "--", "/probe", "metadata")
		if !strings.Contains(said, "POST pod/hmac/verify 200 OK") || !strings.Contains(said, "GET pod/uuid 200 OK "+p.uuid()) {
			t.Errorf("after the service was killed:\n%s", said)
		}
	}
	pods[0].signal(syscall.SIGTERM)
	pods[0].wait()
	if left := h.registrations(); len(left) != len(pods)-1 {
		t.Errorf("after one pod's end there are %q", left)
	}
	for _, p := range pods[1:] {
		p.kill()
		h.awaitState(p, "exited")
	}
	h.expectNetworkState(before)
	if left := h.registrations(); len(left) > 0 {
		t.Errorf("after a supervisor was killed, and gc, there are %q", left)
	}
}

func (h *host) expectAnswers(p *pod, url string) {
	h.Helper()
	said := p.out.String()
	if !strings.HasPrefix(url, "http://172.16.28.1:18112/") {
		h.Errorf("AC_METADATA_URL=%q", url)
	}
	for _, want := range []string{
		"GET pod/uuid 200 OK " + p.uuid(), `GET pod/manifest 200 OK {`, "GET apps/app/image/id 200 OK sha512-",
		"GET apps/nobody/image/id 404 Not Found", "POST pod/hmac/sign 200 OK ", "POST pod/hmac/verify 200 OK", "POST pod/hmac/verify 403 Forbidden",
	} {
		if !strings.Contains(said, want) {
			h.Errorf("the pod does not say %q but\n%s", want, said)
		}
	}
}

// expectClosed: neither the host nor another pod learns anything by a pod's
// token, registered or not, nor does anybody on another address of the host.
func (h *host) expectClosed(urls []string) {
	h.Helper()
	address := "172.16.28.1:18112"
	if answer := ask(address); !strings.Contains(answer, "EOF") && !strings.Contains(answer, "reset") {
		h.Errorf("the host is told %q", answer)
	}
	for _, other := range []string{"127.0.0.1:18112", "10.9.9.1:18112"} {
		if answer := ask(other); !strings.Contains(answer, refused) {
			h.Errorf("%s: %q", other, answer)
		}
	}
	said := h.startIn(nspawn(), "--net=default", "--mds-register", probeID(h.T), "--", "metadata", urls[0]).expect(0).Stdout
	if strings.Count(said, "401 Unauthorized") != strings.Count(said, "]: GET ")+strings.Count(said, "]: POST ") {
		h.Errorf("a pod asks with another's token:\n%s", said)
	}
	said = h.startIn(nspawn(), "--net=default", probeID(h.T), "--", "reach", "-silent", address).expect(0).Stdout
	if !strings.Contains(said, silence) {
		h.Errorf("a pod that is not registered:\n%s", said)
	}
}

// TestMetadataRunPrepared: a pod that can't be registered stays prepared.
func TestMetadataRunPrepared(t *testing.T) {
	h, _ := needNetwork(t)
	uuid := strings.TrimSpace(h.must("prepare", probeID(t)))
	r := h.rkt("run-prepared", "--mds-register", uuid)
	if r.Status != 254 || !strings.Contains(r.Stderr, "could not reach the metadata service.") {
		t.Errorf("status %d\n%s", r.Status, r.Stderr)
	}
	if state := h.list()[uuid]; state != "prepared" {
		t.Errorf("the pod is %s", state)
	}
	if _, err := os.Stat(string(metadata.DefaultDirectory)); err != nil {
		t.Error(err)
	}
}

// TestMetadataCrash kills the supervisor while it registers its pod, and the
// collector while it takes that back: the next collection leaves no registration.
func TestMetadataCrash(t *testing.T) {
	needNetwork(t)
	h := newHostWith(t, &shared.faulty)
	h.serveMetadata()
	f := nspawn()
	args := []string{
		"--stage1-path=" + filepath.Join(h.build.bin, f.stage1), "--insecure-options=stage1",
		"--net=default", "--mds-register", probeID(t), "--", "exit", "0",
	}
	adding := ofMetadata(passed(t, h, func() { h.start(args...).expect(0) }))
	if len(adding) < 2 {
		t.Fatalf("only %q", adding)
	}
	// The service is a process of the host's, too, so only the pod can be waited for.
	die := func(point string) {
		killAt(t, h, point, args...)
		h.awaitState(h.pods[len(h.pods)-1], "exited")
	}
	for _, point := range adding {
		die(point)
		h.gc()
		h.expectNoRegistrations(point)
	}
	leave := func() { die("run.machine.after-start") }
	leave()
	removing := ofMetadata(passed(t, h, func() { h.gc() }))
	if len(removing) < 2 {
		t.Fatalf("only %q", removing)
	}
	for _, point := range removing {
		leave()
		h.env = []string{faultEnv + point}
		if r := h.rkt("gc", "--grace-period=0s"); r.Status == 0 {
			t.Errorf("gc was not killed at %s", point)
		}
		h.env = nil
		h.gc()
		h.expectNoRegistrations(point)
	}
}

func ofMetadata(points []string) []string {
	return slices.DeleteFunc(points, func(p string) bool { return !strings.HasPrefix(p, "metadata.") })
}

func (h *host) expectNoRegistrations(after string) {
	h.Helper()
	if left := h.registrations(); len(left) > 0 {
		h.Errorf("after %s there are %q", after, left)
	}
	h.expectNoPodsLeft()
}
