package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
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
