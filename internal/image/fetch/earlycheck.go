package fetch

import (
	"errors"
	"io"

	"rkt/internal/appc"
	"rkt/internal/image/relay"
	"rkt/internal/image/trust"
)

// earlyCheck checks a signature while the image comes, so that the image need
// not be read again for that. It is for images with a known name only: which
// keys count depends on it.
type earlyCheck struct {
	name     appc.ACIdentifier
	consumer *relay.Consumer
	signer   *trust.Signer // nil unless all bytes have come and the signature is good
}

// checkEarly begins to check the signature of an image by the given name.
func (f *Fetcher) checkEarly(name appc.ACIdentifier, sig *signature) *earlyCheck {
	c := &earlyCheck{name: name}
	c.consumer = relay.NewConsumer(func(image io.Reader) (err error) {
		c.signer, err = f.Keys.VerifySignature(name, image, sig.packets)
		return err
	})
	return c
}

// Write takes the next bytes of the image. It never fails: a signature that is
// not good is checked again, by who can say what is wrong with it.
func (c *earlyCheck) Write(p []byte) (int, error) {
	if _, err := c.consumer.Write(p); err != nil && !errors.Is(err, relay.ErrClosed) {
		return 0, err
	}
	return len(p), nil
}

// end says that all bytes have come, or that err has stopped them.
func (c *earlyCheck) end(err error) {
	if c.consumer.Wait(err) != nil {
		c.signer = nil
	}
}

// signerFor returns who has signed the image, if that is its name: nil if that
// is not known.
func (c *earlyCheck) signerFor(name appc.ACIdentifier) *trust.Signer {
	if c == nil || c.name != name {
		return nil
	}
	return c.signer
}
