package appc

import "errors"

// SystemCalls is what an isolator says about system calls.
type SystemCalls struct {
	// Retain says that the app may use those of the set only, otherwise that it may
	// use all others only.
	Retain bool
	// Set has names of system calls, and of sets of them, which begin with @.
	Set []string
	// Errno is the name of the error of a call that is withheld; "" is the default.
	Errno string
}

func (i Isolator) systemCalls() (*SystemCalls, error) {
	var s set
	if err := i.decode(&s); err != nil {
		return nil, err
	}
	if len(s.Set) == 0 {
		return nil, at("set", errors.New("must not be empty"))
	}
	return &SystemCalls{i.Name == IsolatorSeccompRetain, s.Set, s.Errno}, each("set", s.Set, checkText)
}

// SystemCalls returns what the isolators say about system calls, nil if nothing.
// More than one is an error.
func (is Isolators) SystemCalls() (*SystemCalls, error) {
	var only *SystemCalls
	for _, i := range is {
		if i.Name != IsolatorSeccompRetain && i.Name != IsolatorSeccompRemove {
			continue
		}
		if only != nil {
			return nil, errors.New("too many seccomp isolators specified")
		}
		var err error
		if only, err = i.systemCalls(); err != nil {
			return nil, at(string(i.Name), err)
		}
	}
	return only, nil
}

// Isolator returns the isolator that says so.
func (s SystemCalls) Isolator() Isolator {
	i := Isolator{Name: IsolatorSeccompRemove, Value: marshal(set{s.Set, s.Errno})}
	if s.Retain {
		i.Name = IsolatorSeccompRetain
	}
	return i
}
