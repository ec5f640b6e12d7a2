package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// listen answers one connection: it gets a line and sends it back twice.
func listen(args []string) error {
	if len(args) != 1 {
		return errors.New("an address is needed")
	}
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Print("got ", line)
	_, err = fmt.Fprint(conn, line[:len(line)-1], " ", line)
	return err
}

// connect sends a line and prints the answer. The listener may be started
// later, and no event tells one app of the other, so it tries for a while.
func connect(args []string) error {
	if len(args) != 2 {
		return errors.New("an address and a text are needed")
	}
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, args[1]); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Print("answer ", line)
	return nil
}

func dial(address string) (conn net.Conn, err error) {
	for range 600 {
		if conn, err = net.Dial("tcp", address); err == nil {
			return conn, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, err
}

// serve answers every connection with the address that it came from, until it
// is killed.
func serve(args []string) error {
	if len(args) != 1 {
		return errors.New("an address is needed")
	}
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			fmt.Fprintln(conn, host)
		}()
	}
}

// reach connects once to each address and prints what it is told there, or why
// there was no answer. It does not wait long at those after -silent.
func reach(args []string) error {
	limit := time.Minute
	for _, address := range args {
		if address == "-silent" {
			limit = 3 * time.Second
			continue
		}
		fmt.Println(address, ask(address, limit))
	}
	return nil
}

func ask(address string, limit time.Duration) string {
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err.Error()
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return "sees " + line[:len(line)-1]
}

// links prints each interface with its MTU and addresses, and the files that
// names are looked up in.
func links([]string) error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			return err
		}
		fmt.Println(i.Name, i.MTU, addresses)
	}
	for _, file := range []string{"/etc/resolv.conf", "/etc/hosts", "/proc/sys/net/core/somaxconn"} {
		b, err := os.ReadFile(file)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for line := range strings.Lines(string(b)) {
			fmt.Printf("%s: %s\n", file, strings.TrimSuffix(line, "\n"))
		}
	}
	return nil
}

// syslog sends a text to the socket of the system's log.
func syslog(args []string) error {
	if len(args) != 2 {
		return errors.New("a socket and a text are needed")
	}
	conn, err := net.Dial("unixgram", args[0])
	if err != nil {
		return err
	}
	if _, err := conn.Write([]byte(args[1])); err != nil {
		return err
	}
	return conn.Close()
}
