package main

import (
	"context"
	"os"
)

// keys is a directory of GnuPG's with one key.
type keys struct{ home string }

const keyUser = "rkt bench <bench@localhost>"

// newKeys makes the key.
func newKeys(ctx context.Context, w *workspace) (*keys, error) {
	k := &keys{w.path("gnupg")}
	if err := os.Mkdir(k.home, 0o700); err != nil {
		return nil, err
	}
	return k, k.run(ctx, "--quick-gen-key", keyUser, "rsa4096", "sign", "never")
}

// export writes the public key to a file.
func (k *keys) export(ctx context.Context, path string) error {
	return k.run(ctx, "--armor", "--output", path, "--export", keyUser)
}

// sign writes a signature over a file.
func (k *keys) sign(ctx context.Context, path, signature string) error {
	return k.run(ctx, "--armor", "--output", signature, "--detach-sign", path)
}

// run runs gpg and ends the agent that it may leave behind.
func (k *keys) run(ctx context.Context, args ...string) error {
	base := []string{
		"--homedir", k.home, "--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase=", "--trust-model=always",
	}
	if _, err := tool(ctx, "gpg", append(base, args...)...); err != nil {
		return err
	}
	_, err := tool(ctx, "gpgconf", "--homedir", k.home, "--kill", "all")
	return err
}
