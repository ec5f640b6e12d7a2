package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// metadata asks the metadata service, at the address in its environment or at
// another one, and prints each question with the status and the first line of the
// answer.
func metadata(args []string) error {
	stay := len(args) > 0 && args[0] == "-stay"
	if stay {
		args = args[1:]
	}
	base := os.Getenv("AC_METADATA_URL")
	if len(args) > 0 {
		base = args[0]
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return fmt.Errorf("AC_METADATA_URL=%q", base)
	}
	fmt.Println("url", base)
	uuid := request(u, "GET", "pod/uuid", "")
	request(u, "GET", "pod/manifest", "")
	request(u, "GET", "apps/"+os.Getenv("AC_APP_NAME")+"/image/id", "")
	request(u, "GET", "apps/nobody/image/id", "")
	signature := request(u, "POST", "pod/hmac/sign", "content=text")
	values := url.Values{"uuid": {uuid}, "content": {"text"}, "signature": {signature}}
	request(u, "POST", "pod/hmac/verify", values.Encode())
	values.Set("content", "another text")
	request(u, "POST", "pod/hmac/verify", values.Encode())
	if stay {
		fmt.Println("ready")
		for { // until it is killed
			time.Sleep(time.Hour)
		}
	}
	return nil
}

// request returns the first line of the answer. The program stays small without
// a library for HTTP.
func request(u *url.URL, method, path, form string) string {
	status, body, err := exchange(u, method, path, form)
	if err != nil {
		status = err.Error()
	}
	fmt.Println(method, path, status, body)
	return body
}

func exchange(u *url.URL, method, path, form string) (status, body string, err error) {
	const limit = time.Minute
	conn, err := net.DialTimeout("tcp", u.Host, limit)
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", "", err
	}
	_, err = fmt.Fprintf(conn, "%s %s/acMetadata/v1/%s HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		method, u.Path, path, len(form), form)
	if err != nil {
		return "", "", err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", "", err
	}
	head, rest, ok := strings.Cut(string(answer), "\r\n\r\n")
	if !ok {
		return "", "", errors.New("the answer has no end of its header")
	}
	line, _, _ := strings.Cut(head, "\r\n")
	_, status, _ = strings.Cut(line, " ")
	body, _, _ = strings.Cut(rest, "\n")
	return status, body, nil
}
