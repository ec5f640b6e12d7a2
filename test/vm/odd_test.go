package vm

import (
	"archive/tar"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"rkt/internal/image/imagetest"
	"rkt/test/probe/report"
)

// capability is the extended attribute of a program that may do one thing
// (CAP_NET_BIND_SERVICE). Source: linux/capability.h, vfs_cap_data.
const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// oddEntries are files that images seldom have, below /odd.
func oddEntries() []imagetest.Entry {
	block := imagetest.Device("rootfs/odd/disk", 8, 0)
	block.Typeflag = tar.TypeBlock
	setuid := imagetest.Program("rootfs/odd/setuid", "#!")
	setuid.Mode, setuid.Uid, setuid.Gid = 0o6755, 123456, 65537
	capable := imagetest.Program("rootfs/odd/capable", "#!")
	capable.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.note": "any\x00bytes"}
	return []imagetest.Entry{
		imagetest.Dir("rootfs/odd"), imagetest.Device("rootfs/odd/mem", 1, 1), block, imagetest.Fifo("rootfs/odd/pipe"), setuid, capable,
		imagetest.File("rootfs/odd/\xff\xfe\n", "bytes"), imagetest.Hardlink("rootfs/odd/linked", "rootfs/odd/\xff\xfe\n"),
		imagetest.Symlink("rootfs/odd/out", "../../../etc/shadow"),
	}
}

// TestOddImage looks at an odd image from inside, in a machine where other apps
// have odd account files: nobody waits for a pipe, follows a link out, or takes a
// device for a file.
func TestOddImage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	args := []string{"--insecure-options=image", h.write("odd.aci", probeImage(t, "example.com/odd", nil, oddEntries()...)), "--cpu=1", "--", "files", "/odd"}
	for name, passwd := range map[string]imagetest.Entry{
		"pipe": imagetest.Fifo("rootfs/etc/passwd"), "link": imagetest.Symlink("rootfs/etc/passwd", "/proc/1/environ"),
		"device": imagetest.Device("rootfs/etc/passwd", 1, 5),
	} {
		image := h.write(name+".aci", accountless(t, "example.com/"+name, passwd))
		args = append(args, "---", image, "--cpu=1", "--", "exit", "0")
	}
	p, r := h.run(args...)
	p.expect(0)
	found := filesOf(t, r.Stdout, "odd")
	checkOdd(t, found)
	a, b := found["/odd/linked"], found["/odd/\xff\xfe\n"]
	if a.Inode != b.Inode || a.Links != 2 {
		t.Errorf("two names of one file: %+v, %+v", a, b)
	}
	// A name that is looked for in a pipe is not found, and that is said.
	p = h.start("--insecure-options=image", h.path("pipe.aci"), "--user=alice", "--cpu=1", "--", "exit", "0")
	expectOneMessage(t, p.expect(254).Stderr, "alice")
}

// accountless returns an image with the probe and something else in the place of
// its account file.
func accountless(t *testing.T, name string, passwd imagetest.Entry) []byte {
	t.Helper()
	return probeImage(t, name, nil, passwd)
}

// checkOdd compares what was found of the odd files with what they are.
func checkOdd(t *testing.T, found map[string]report.File) {
	t.Helper()
	type file struct {
		Mode     uint32
		UID, GID uint32
		Device   uint64
		Content  string
		Xattrs   map[string]string
	}
	want := map[string]file{
		"/odd":            {Mode: unix.S_IFDIR | 0o755},
		"/odd/mem":        {Mode: unix.S_IFCHR | 0o600, Device: unix.Mkdev(1, 1)},
		"/odd/disk":       {Mode: unix.S_IFBLK | 0o600, Device: unix.Mkdev(8, 0)},
		"/odd/pipe":       {Mode: unix.S_IFIFO | 0o600},
		"/odd/setuid":     {Mode: unix.S_IFREG | 0o6755, UID: 123456, GID: 65537, Content: "#!"},
		"/odd/capable":    {Mode: unix.S_IFREG | 0o755, Content: "#!", Xattrs: map[string]string{"security.capability": capability, "user.note": "any\x00bytes"}},
		"/odd/\xff\xfe\n": {Mode: unix.S_IFREG | 0o644, Content: "bytes"},
		"/odd/linked":     {Mode: unix.S_IFREG | 0o644, Content: "bytes"},
		"/odd/out":        {Mode: unix.S_IFLNK | 0o777, Content: "../../../etc/shadow"},
	}
	got := make(map[string]file)
	for path, f := range found {
		attributes := map[string]string(nil)
		for name, value := range f.Xattrs {
			if attributes == nil {
				attributes = make(map[string]string)
			}
			attributes[name] = string(value)
		}
		got[path] = file{f.Mode, f.UID, f.GID, f.Device, string(f.Content), attributes}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
