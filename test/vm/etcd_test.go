package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rkt/internal/build/elfdeps"
	"rkt/internal/build/recipe"
)

// etcdImage returns an image of Debian's etcd server.
func etcdImage(t *testing.T) []byte {
	t.Helper()
	return recipeImage(t, "../etcd/etcd.recipe", nil, "example.com/etcd", "/usr/bin/etcd", "--data-dir=/data/etcd")
}

// recipeImage returns an image of what a recipe says, with variables, that
// executes the given words.
func recipeImage(t *testing.T, file string, vars map[string][]string, name string, exec ...string) []byte {
	t.Helper()
	tree, err := recipe.Build(file, recipe.Options{Libraries: elfdeps.Debian("x86_64-linux-gnu"), Vars: vars})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(manifest(name, fields{"exec": exec}))
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if err := tree.WriteACI(&image, text); err != nil {
		t.Fatal(err)
	}
	return image.Bytes()
}

// member is one etcd of a cluster, in a pod of its own.
type member struct {
	*pod
	name, ip string
}

// startMember starts one with a fixed address. Peers is the whole cluster as
// etcd wants it.
func (h *host) startMember(stage1, image, name, ip, peers, state string) *member {
	h.Helper()
	p := h.start("--insecure-options=image", "--stage1-path="+filepath.Join(h.build.bin, stage1), "--net=default:IP="+ip, image, "--memory=256Mi", "--cpu=1", "--",
		"--name="+name, "--initial-cluster="+peers, "--initial-cluster-state="+state,
		"--listen-peer-urls=http://"+ip+":2380", "--initial-advertise-peer-urls=http://"+ip+":2380",
		"--listen-client-urls=http://"+ip+":2379", "--advertise-client-urls=http://"+ip+":2379",
		// Emulated machines on a busy host are slow to answer.
		"--heartbeat-interval=1000", "--election-timeout=10000")
	return &member{p, name, ip}
}

// etcdctl asks the given members, from the host. It waits for them to be up.
func (h *host) etcdctl(members []*member, args ...string) string {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, "http://"+m.ip+":2379")
	}
	var said []byte
	for ctx.Err() == nil {
		all := append([]string{"--endpoints=" + strings.Join(endpoints, ","), "--command-timeout=30s", "--dial-timeout=30s"}, args...)
		cmd := exec.CommandContext(ctx, "etcdctl", all...)
		cmd.Env = append(cmd.Environ(), "ETCDCTL_API=3")
		var err error
		if said, err = cmd.CombinedOutput(); err == nil {
			return string(said)
		}
	}
	h.Fatalf("etcdctl %s: %s", strings.Join(args, " "), said)
	return ""
}

// TestEtcdCluster: three members in three pods form a cluster; one is killed, two
// keep serving, and a new one joins. All are machines, or some are containers.
func TestEtcdCluster(t *testing.T) {
	if _, err := exec.LookPath("etcdctl"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		first  [3]string // stage1 images; the first member is killed
		joined string
	}{
		{"machines", [3]string{stage1File, stage1File, stage1File}, stage1File},
		{"with containers", [3]string{stage1File, containerFile, stage1File}, containerFile},
	} {
		t.Run(c.name, func(t *testing.T) { etcdCluster(t, c.first, c.joined) })
	}
}

func etcdCluster(t *testing.T, first [3]string, joins string) {
	h, before := needNetwork(t)
	image := h.write("etcd.aci", etcdImage(t))
	var peers []string
	for n := range first {
		peers = append(peers, fmt.Sprintf("m%d=http://172.16.28.%d:2380", n, 101+n))
	}
	var members []*member
	for n, stage1 := range first {
		members = append(members, h.startMember(stage1, image, fmt.Sprintf("m%d", n), fmt.Sprintf("172.16.28.%d", 101+n), strings.Join(peers, ","), "new"))
	}
	h.etcdctl(members, "put", "before", "one")
	for _, m := range members { // each has the others
		h.etcdctl([]*member{m}, "endpoint", "health")
	}

	members[0].kill()
	h.awaitState(members[0].pod, "exited")
	rest := members[1:]
	h.etcdctl(rest, "put", "after", "two")
	for _, m := range rest {
		if got := h.etcdctl([]*member{m}, "get", "--print-value-only", "before"); strings.TrimSpace(got) != "one" {
			t.Errorf("before is %q for %s", got, m.name)
		}
	}

	h.forgetMember(rest, "m0")
	h.etcdctl(rest, "member", "add", "m3", "--peer-urls=http://172.16.28.104:2380")
	joined := h.startMember(joins, image, "m3", "172.16.28.104", strings.Join(append(peers[1:], "m3=http://172.16.28.104:2380"), ","), "existing")
	if got := h.etcdctl([]*member{joined}, "get", "--print-value-only", "after"); strings.TrimSpace(got) != "two" {
		t.Errorf("after is %q for the new member", got)
	}
	for _, m := range append(rest, joined) {
		h.must("stop", m.uuid())
		m.wait()
	}
	h.expectNetworkState(before)
}

// forgetMember takes one that is no more out of its cluster.
func (h *host) forgetMember(rest []*member, name string) {
	h.Helper()
	var list struct {
		Members []struct {
			ID   uint64
			Name string
		}
	}
	if err := json.Unmarshal([]byte(h.etcdctl(rest, "member", "list", "-w", "json")), &list); err != nil {
		h.Fatal(err)
	}
	for _, m := range list.Members {
		if m.Name == name {
			h.etcdctl(rest, "member", "remove", fmt.Sprintf("%x", m.ID))
			return
		}
	}
	h.Fatalf("there is no member %s: %+v", name, list.Members)
}
