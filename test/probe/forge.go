package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// Types of frames. Source: IEEE 802.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

// forge sends frames that a pod must not send, each so many times, as a program
// can that has raw sockets: "source" from another's address, "arp" and "nd" that
// say that another's address is here, "to" from the own address to one that is out
// of bounds, "own" what is allowed.
func forge(args []string) error {
	if len(args) != 3 {
		return errors.New("a kind, a number and an address are needed")
	}
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	address, err := netip.ParseAddr(args[2])
	if err != nil {
		return err
	}
	const device = "eth0"
	i, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	own, err := ownAddress(i)
	if err != nil {
		return err
	}
	frame, err := frameOf(args[0], i.HardwareAddr, own, address)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	for range times {
		if err := syscall.Sendto(fd, frame, 0, &syscall.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
			return os.NewSyscallError("sendto", err)
		}
	}
	fmt.Println("sent", times, args[0])
	return nil
}

func ownAddress(i *net.Interface) (netip.Addr, error) {
	all, err := i.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			return prefix.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New("no address")
}

func frameOf(kind string, mac net.HardwareAddr, own, address netip.Addr) ([]byte, error) {
	switch kind {
	case "own":
		return ethernet(mac, typeIPv4, datagram(own, address)), nil
	case "source":
		return ethernet(mac, typeIPv4, datagram(address, own)), nil
	case "to":
		return ethernet(mac, typeIPv4, datagram(own, address)), nil
	case "arp":
		return ethernet(mac, typeARP, claim(mac, address)), nil
	case "nd":
		return ethernet(mac, typeIPv6, advertisement(mac, address)), nil
	}
	return nil, fmt.Errorf("%q is no kind of frame", kind)
}

func ethernet(from net.HardwareAddr, kind uint16, payload []byte) []byte {
	const shortest = 60
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, from...)
	b = append(binary.BigEndian.AppendUint16(b, kind), payload...)
	return append(b, make([]byte, max(0, shortest-len(b)))...)
}

// datagram is one of UDP, without content.
func datagram(from, to netip.Addr) []byte {
	const header, udp = 20, 8
	b := make([]byte, header+udp)
	b[0], b[3], b[8], b[9] = 0x45, header+udp, 64, syscall.IPPROTO_UDP
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(b[:header]))
	b[21], b[23], b[25] = 9, 9, udp // ports and length
	return b
}

// claim is an ARP answer that nobody has asked for.
func claim(mac net.HardwareAddr, address netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, 2}
	b = append(append(b, mac...), address.AsSlice()...)
	b = append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	return append(b, address.AsSlice()...)
}

// advertisement is the same for IPv6: from the own link-local address, about
// another.
func advertisement(mac net.HardwareAddr, about netip.Addr) []byte {
	const header, message = 40, 24
	b := make([]byte, header+message)
	b[0], b[5], b[6], b[7] = 0x60, message, syscall.IPPROTO_ICMPV6, 255
	copy(b[8:], []byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
	copy(b[24:], netip.IPv6LinkLocalAllNodes().AsSlice())
	b[header], b[header+4] = 136, 0x20 // override what is known
	copy(b[header+8:], about.AsSlice())
	pseudo := append(append([]byte{}, b[8:header]...), 0, 0, 0, message, 0, 0, 0, syscall.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(b[header+2:], checksum(append(pseudo, b[header:]...)))
	return b
}

// checksum is that of internet protocols. Source: RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
