package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

// What a client's first byte asks the server for.
const (
	askSink   = 'i' // take all, then say how much it was
	askSource = 'o' // send until the connection is closed
	askEcho   = 'e' // send each byte back
)

const bufferSize = 128 << 10

// serve answers clients until it is killed.
func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := attend(conn); err != nil {
				fmt.Fprintln(os.Stderr, "netbench:", err)
			}
		}()
	}
}

func attend(conn net.Conn) error {
	var ask [1]byte
	if _, err := io.ReadFull(conn, ask[:]); err != nil {
		return err
	}
	b := make([]byte, bufferSize)
	switch ask[0] {
	case askSink:
		total, err := swallow(conn, b)
		if err != nil {
			return err
		}
		return binary.Write(conn, binary.BigEndian, total)
	case askSource:
		for {
			if _, err := conn.Write(b); err != nil {
				return nil //nolint:nilerr // the client has enough
			}
		}
	case askEcho:
		_, err := io.CopyBuffer(conn, struct{ io.Reader }{conn}, b[:1])
		return err
	}
	return errors.New("a client asks for nothing known")
}

// swallow reads to the end.
func swallow(r io.Reader, b []byte) (total int64, err error) {
	for {
		n, err := r.Read(b)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// speed is what one candidate did in one round.
type speed struct {
	in, out float64 // Mbit/s to and from the server
	trip    float64 // microseconds, the median
}

// trips is how many bytes go there and back at most.
const trips = 100000

// try measures a server.
func try(address string, length time.Duration) (s speed, err error) {
	if s.in, err = sendTo(address, length); err != nil {
		return s, fmt.Errorf("send to %s: %w", address, err)
	}
	if s.out, err = receiveFrom(address, length); err != nil {
		return s, fmt.Errorf("receive from %s: %w", address, err)
	}
	if s.trip, err = roundTrip(address, length); err != nil {
		return s, fmt.Errorf("round trip to %s: %w", address, err)
	}
	return s, nil
}

func dial(address string, ask byte) (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.New("this is not TCP")
	}
	_, err = tcp.Write([]byte{ask})
	return tcp, errors.Join(err, tcp.SetDeadline(time.Now().Add(time.Minute)))
}

// megabits is a rate in Mbit/s.
func megabits(bytes int64, over time.Duration) float64 {
	const bits = 8
	return float64(bytes) * bits / 1e6 / over.Seconds()
}

func sendTo(address string, length time.Duration) (float64, error) {
	conn, err := dial(address, askSink)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	b, begun := make([]byte, bufferSize), time.Now()
	for time.Since(begun) < length {
		if _, err := conn.Write(b); err != nil {
			return 0, err
		}
	}
	if err := conn.CloseWrite(); err != nil {
		return 0, err
	}
	var arrived int64
	err = binary.Read(conn, binary.BigEndian, &arrived)
	return megabits(arrived, time.Since(begun)), err
}

func receiveFrom(address string, length time.Duration) (float64, error) {
	conn, err := dial(address, askSource)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	b, begun, total := make([]byte, bufferSize), time.Now(), int64(0)
	for time.Since(begun) < length {
		n, err := conn.Read(b)
		if err != nil {
			return 0, err
		}
		total += int64(n)
	}
	return megabits(total, time.Since(begun)), nil
}

func roundTrip(address string, length time.Duration) (float64, error) {
	conn, err := dial(address, askEcho)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var b [1]byte
	var times []time.Duration
	for begun := time.Now(); time.Since(begun) < length && len(times) < trips; {
		start := time.Now()
		if _, err := conn.Write(b[:]); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds()) / 1000, nil
}
