// Command internet runs a command in a world of its own, where the hosts that
// the command may want to reach are directories:
//
//	internet DIRECTORY COMMAND [ARGUMENT…]
//
// DIRECTORY has a directory for each host, with what is there. They are served
// over https, each with a certificate that the command believes in. Outside
// nothing changes: the network, the list of hosts and the list of authorities are
// those of namespaces that go when the command ends. The exit status is that of
// the command.
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rkt/test/certificate"
)

const failed = 125 // a status that no command is likely to have

func main() {
	// Namespaces are those of this thread, and of what it starts.
	runtime.LockOSThread()
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: internet DIRECTORY COMMAND [ARGUMENT…]")
		os.Exit(failed)
	}
	status, err := run(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "internet:", err)
	}
	os.Exit(status)
}

func run(site string, command []string) (int, error) {
	hosts, err := hostsIn(site)
	if err != nil {
		return failed, err
	}
	dir, err := os.MkdirTemp("", "internet")
	if err != nil {
		return failed, err
	}
	defer os.RemoveAll(dir)
	config, err := leave(dir, hosts)
	if err != nil {
		return failed, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:443")
	if err != nil {
		return failed, err
	}
	server := &http.Server{Handler: handler(site), ReadHeaderTimeout: time.Minute, TLSConfig: config}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	status, err := execute(command)
	closed := server.Close()
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		closed = errors.Join(closed, end)
	}
	return status, errors.Join(err, closed)
}

// hostsIn returns the names of the hosts that there are.
func hostsIn(site string) ([]string, error) {
	entries, err := os.ReadDir(site)
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, e := range entries {
		if e.IsDir() {
			hosts = append(hosts, e.Name())
		}
	}
	return hosts, nil
}

// leave enters namespaces of its own, where the hosts are this machine and a new
// authority vouches for them.
func leave(dir string, hosts []string) (*tls.Config, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return nil, os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return nil, fmt.Errorf("bring the loopback interface up: %w", err)
	}
	served, authority, err := certificate.New(hosts)
	if err != nil {
		return nil, err
	}
	list := "127.0.0.1 localhost " + strings.Join(hosts, " ") + "\n::1 localhost\n"
	return served, errors.Join(
		cover("/etc/hosts", filepath.Join(dir, "hosts"), []byte(list)),
		cover("/etc/ssl/certs/ca-certificates.crt", filepath.Join(dir, "authority"), authority),
	)
}

// cover mounts a file with the given content over another.
func cover(target, file string, content []byte) error {
	if err := os.WriteFile(file, content, 0o644); err != nil { //nolint:gosec // other users read it
		return err
	}
	if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "mount over", Path: target, Err: err}
	}
	return nil
}

// loopbackUp makes this machine reach itself.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// handler serves the directory of the host that is asked for. The page at a path
// is a file of that name or one named index.html in a directory of that name.
func handler(site string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := filepath.Join(site, filepath.Base(r.Host), filepath.Clean("/"+r.URL.Path))
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, "index.html")
		}
		f, err := os.Open(path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.Size(), info.ModTime().UnixNano()))
		http.ServeContent(w, r, path, info.ModTime(), f)
	})
}

// execute runs the command. What the terminal sends goes to both, and is the
// command's business.
func execute(command []string) (int, error) {
	// Caught, not ignored: what is ignored the command would ignore, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // it ends when it wants to
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return 128 + int(s.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return failed, err
}
