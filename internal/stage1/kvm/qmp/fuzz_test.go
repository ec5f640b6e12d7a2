package qmp

import "testing"

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"QMP":{"version":{"qemu":{"micro":0,"minor":2,"major":7}},"capabilities":["oob"]}}`,
		`{"return":{},"id":1}`,
		`{"id":2,"error":{"class":"GenericError","desc":"no"}}`,
		`{"timestamp":{"seconds":1,"microseconds":2},"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-reset"}}`,
		`null`, `{"id":-1}`, `{"event":5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, line []byte) {
		c := &Client{events: make(chan Event, 1), pending: map[uint64]chan reply{1: make(chan reply, 1)}}
		if m, err := parse(line); err == nil {
			c.dispatch(m)
			c.dispatch(m)
		}
	})
}
