// Package build_test holds tests of the build itself: what ./configure refuses,
// and what it makes of its options.
package build_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rkt/internal/linux/linuxtest"
)

// tree returns a directory with what configure needs of the project, and a
// configure script.
func tree(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("autoconf"); err != nil {
		t.Skip("needs autoconf")
	}
	dir := t.TempDir()
	for _, name := range []string{"configure.ac", "autogen.sh", "Makefile.in", "stage1/kernel/build.sh"} {
		b, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := linuxtest.WriteProgram(to, b); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "autogen.sh")).CombinedOutput(); err != nil {
		t.Fatalf("autogen.sh: %v\n%s", err, out)
	}
	return dir
}

// configure runs the script of dir in a directory of its own and returns that
// directory and what was said.
func configure(t *testing.T, dir string, args ...string) (string, string, error) {
	t.Helper()
	own := t.TempDir()
	// By another process: see linuxtest.WriteProgram.
	if out, err := exec.CommandContext(t.Context(), "cp", "-r", dir+"/.", own).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "./configure", args...)
	cmd.Dir = own
	out, err := cmd.CombinedOutput()
	return own, string(out), err
}

func TestConfigureRefuses(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	const name, version = "--with-stage1-default-name=example.com/a", "--with-stage1-default-version=1"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--with-stage1-flavors=src"}, `--with-stage1-flavors: "src" is not there yet`},
		{[]string{"--with-stage1-flavors=kvm,host"}, `--with-stage1-flavors: "host" is not there yet`},
		{[]string{"--with-stage1-flavors=foo"}, `--with-stage1-flavors: unknown value "foo"`},
		{[]string{"--with-stage1-flavors="}, `empty list or empty word in ""`},
		{[]string{"--with-stage1-flavors=kvm,"}, `empty list or empty word in "kvm,"`},
		{[]string{"--with-stage1-flavors=kvm,kvm"}, `"kvm" is given twice`},
		{[]string{"--with-stage1-kvm-hypervisors=xen"}, `unknown value "xen"`},
		{[]string{"--with-stage1-flavors=kvm", "--with-stage1-default-flavor=fly"}, `"fly" is not one of --with-stage1-flavors (kvm)`},
		{[]string{"--with-stage1-default-flavor=foo"}, `unknown value "foo"`},
		{[]string{name}, "give both or none"},
		{[]string{version}, "give both or none"},
		{[]string{name, version, "--with-stage1-default-flavor=kvm"}, "--with-stage1-default-flavor contradicts"},
		{[]string{"--with-stage1-default-name", version}, "--with-stage1-default-name needs a value"},
		{[]string{"--with-stage1-default-location=some/path"}, "neither a URL nor an absolute path"},
		{[]string{"--with-stage1-default-location"}, "--with-stage1-default-location needs a value"},
		{[]string{"--with-stage1-default-location=/a b"}, "a blank or a quote"},
		{[]string{"--with-stage1-default-images-directory=here"}, "is not an absolute path"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			own, out, err := configure(t, dir, c.args...)
			if err == nil || !strings.Contains(out, "configure: error: ") || !strings.Contains(out, c.want) {
				t.Errorf("got %v, want an error with %q:\n%s", err, c.want, out)
			}
			if _, err := os.Stat(filepath.Join(own, "Makefile")); err == nil {
				t.Error("a Makefile was made all the same")
			}
		})
	}
}

func TestConfigureDefaults(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	for _, c := range []struct {
		args, want []string
	}{
		{nil, []string{
			"STAGE1_FLAVORS = kvm coreos fly\n", "STAGE1_IMAGES = kvm coreos fly\n", "DefaultStage1Name=coreos.com/rkt/stage1-kvm ",
			"DefaultStage1File=stage1-kvm.aci ", "DefaultStage1Location= ",
			"IMAGES_DIR = ${libdir}/rkt/stage1-images\n",
		}},
		{
			[]string{
				"--with-stage1-default-name=example.com/a", "--with-stage1-default-version=1",
				"--with-stage1-default-location=https://example.com/a.aci",
				"--with-stage1-default-images-directory=/images",
			},
			[]string{
				"DefaultStage1Name=example.com/a ", "DefaultStage1Version=1 ", "DefaultStage1File= ",
				"DefaultStage1Location=https://example.com/a.aci ", "IMAGES_DIR = /images\n",
			},
		},
		{
			[]string{"--with-stage1-flavors=kvm", "--with-stage1-kvm-hypervisors=lkvm,qemu"},
			[]string{
				"STAGE1_IMAGES = kvm-lkvm kvm-qemu\n", "DefaultStage1File=stage1-kvm-qemu.aci ",
				"IMAGE_kvm-lkvm = -flavor kvm -hypervisor lkvm -name coreos.com/rkt/stage1-kvm-lkvm\n",
			},
		},
		{
			[]string{"--with-stage1-flavors=kvm", "--with-stage1-kvm-hypervisors=lkvm"},
			[]string{"STAGE1_IMAGES = kvm\n", "DefaultStage1File=stage1-kvm.aci ", "IMAGE_kvm = -flavor kvm -hypervisor lkvm\n"},
		},
	} {
		own, out, err := configure(t, dir, c.args...)
		if err != nil && strings.Contains(out, "is not installed") {
			t.Skipf("needs what the build needs: %s", out)
		}
		if err != nil {
			t.Fatalf("configure: %v\n%s", err, out)
		}
		makefile, err := fs.ReadFile(os.DirFS(own), "Makefile")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(string(makefile), want) {
				t.Errorf("%v: no %q in the Makefile", c.args, want)
			}
		}
	}
}

// TestConfigureWithoutLKVM shows that the image with lkvm is built on a host that
// has none, and that this is said once.
func TestConfigureWithoutLKVM(t *testing.T) {
	t.Parallel()
	_, out, err := configure(t, tree(t), "--with-stage1-kvm-hypervisors=lkvm,qemu", "ac_cv_path_LKVM=no")
	if err != nil && strings.Contains(out, "is not installed; ") {
		t.Skipf("needs what the build needs: %s", out)
	}
	if err != nil {
		t.Fatalf("configure: %v\n%s", err, out)
	}
	if n := strings.Count(out, "WARNING: lkvm is not installed"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, out)
	}
}
