package supervisor

import (
	"context"
	"errors"
	"time"

	"rkt/internal/stage1"
)

// killTimeout bounds how long killed processes may take to be gone.
const killTimeout = 30 * time.Second

// cleanTimeout bounds a collection: on a busy host, plugins of several networks
// may take long.
const cleanTimeout = 5 * time.Minute

// EntryPoint runs one of the entry points that are the same in every flavour,
// all but run, and returns its exit status.
func EntryPoint(ctx context.Context, name string, args []string) (int, error) {
	switch name {
	case HelperName:
		return statusOf(Help(ctx, last(args)))
	case "stop":
		parsed, err := stage1.ParseStopArgs(args)
		if err != nil {
			return statusOwnError, err
		}
		ctx, cancel := context.WithTimeout(ctx, killTimeout)
		defer cancel()
		return statusOf(Stop(ctx, parsed))
	case "gc":
		ctx, cancel := context.WithTimeout(ctx, cleanTimeout)
		defer cancel()
		return statusOf(CollectGarbage(ctx, last(args)))
	case "exec", "enter":
		parsed, err := ParseExec(args, name == "enter")
		if err != nil {
			return statusOwnError, err
		}
		return Exec(parsed)
	}
	return statusOwnError, errors.New("this program is part of a stage1 image and is run by rkt")
}

// last returns the pod's UUID, which ends the arguments of gc.
func last(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[len(args)-1]
}

func statusOf(err error) (int, error) {
	if err != nil {
		return statusOwnError, err
	}
	return 0, nil
}
