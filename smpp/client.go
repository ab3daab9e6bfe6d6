package smpp

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// ClientConfig says where and how an ESME binds.
type ClientConfig struct {
	SessionConfig
	// Addr is host and port of the SMSC.
	Addr string
	// Dial opens the connection. Default: TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS, if set, is spoken from the first octet. ServerName defaults to the
	// host of Addr.
	TLS *tls.Config
	// Mode is [BindTransceiver] (default), [BindTransmitter] or [BindReceiver].
	Mode Command
	// Bind is sent. InterfaceVersion 0 is sent as [Version34].
	Bind Bind
	// BindTimeout is for connection, TLS and bind together. Default 30 s.
	BindTimeout time.Duration
}

// Dial connects and binds. The session lives until [Session.Close], the peer or
// the network ends it; ctx is for the bind only. A bind that the SMSC refuses is
// a [*StatusError].
func Dial(ctx context.Context, cfg ClientConfig) (*Session, error) {
	if cfg.BindTimeout <= 0 {
		cfg.BindTimeout = 30 * time.Second
	}
	if cfg.Mode == 0 {
		cfg.Mode = BindTransceiver
	}
	if cfg.Bind.InterfaceVersion == 0 {
		cfg.Bind.InterfaceVersion = Version34
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.BindTimeout)
	defer cancel()
	conn, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := newSession(conn, cfg.SessionConfig)
	go s.run()
	type answer struct {
		r   Response
		err error
	}
	ready := make(chan answer, 1)
	_, err = s.request(cfg.Mode, &cfg.Bind, false, func(r Response, err error) { ready <- answer{r, err} })
	if err == nil {
		select {
		case a := <-ready:
			if err = a.err; err == nil {
				err = a.r.Err()
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		s.end(ErrRefused)
		<-s.done
		return nil, err
	}
	return s, nil
}

func connect(ctx context.Context, cfg ClientConfig) (net.Conn, error) {
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", cfg.Addr)
	if err != nil || cfg.TLS == nil {
		return conn, err
	}
	conf := cfg.TLS.Clone()
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(cfg.Addr)
	}
	secure := tls.Client(conn, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}
