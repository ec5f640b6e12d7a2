package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// exit ends the probe with a status, if asked once another probe sleeps.
func exit(args []string) error {
	flags := flag.NewFlagSet("exit", flag.ContinueOnError)
	after := flags.String("after", "", "address that a sleeping probe announces")
	if err := flags.Parse(args); err != nil {
		return err
	}
	status, err := oneNumber(flags.Args())
	if err != nil {
		return err
	}
	if *after != "" {
		if _, err := dial(*after); err != nil {
			return err
		}
	}
	os.Exit(status)
	return nil
}

// die makes the probe kill itself with a signal.
func die(args []string) error {
	number, err := oneNumber(args)
	if err != nil {
		return err
	}
	if err := syscall.Kill(os.Getpid(), syscall.Signal(number)); err != nil {
		return err
	}
	select {} // the signal is on its way
}

func oneNumber(args []string) (int, error) {
	if len(args) != 1 {
		return 0, errors.New("a number is needed")
	}
	return strconv.Atoi(args[0])
}

// sleep waits for SIGTERM, says when it has come, and ends with a status or
// stays. A SIGTERM before "ready" was printed kills it.
func sleep(args []string) error {
	flags := flag.NewFlagSet("sleep", flag.ContinueOnError)
	ignore := flags.Bool("ignore", false, "stay after SIGTERM")
	status := flags.Int("status", 0, "exit status after SIGTERM")
	announce := flags.String("announce", "", "address to listen on when it sleeps")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	if *announce != "" {
		if _, err := net.Listen("tcp", *announce); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	for range signals {
		fmt.Println("terminated")
		if !*ignore {
			os.Exit(*status)
		}
	}
	return nil
}
