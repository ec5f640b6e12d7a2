package main
import "context"
func check(ctx context.Context, image string, console bool) error { return nil }
