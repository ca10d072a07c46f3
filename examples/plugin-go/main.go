// Two adapters for Sluice, in a process of their own: a check by a list of revoked users, and a report to a file. The reference is
// protos/sluice/plugin/v1/plugin.proto; serve.go is the part that every plugin needs, adapters.go the part that is this plugin's own.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	v1 "example.com/sluice/plugin-go/gen/sluice/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

func main() {
	address := flag.String("listen", "unix:/run/plugin.sock", "unix:PATH or HOST:PORT")
	grace := flag.Duration("grace", 10*time.Second, "for running calls at the end")
	flag.Parse()
	if err := serve(*address, *grace, []Adapter{revokedAdapter, linesAdapter}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve returns after SIGTERM, when running calls are answered.
func serve(address string, grace time.Duration, adapters []Adapter) error {
	network, at := "tcp", address
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		network, at = "unix", path
		_ = os.Remove(path) // of a process that was killed
	}
	listener, err := net.Listen(network, at)
	if err != nil {
		return err
	}
	service := &plugin{software: "plugin-go 1.0", adapters: adapters, stopping: make(chan struct{})}
	status := health.NewServer()
	status.SetServingStatus(v1.Plugin_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	server := grpc.NewServer()
	v1.RegisterPluginServer(server, service)
	healthv1.RegisterHealthServer(server, status)
	reflection.Register(server)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		status.Shutdown()
		close(service.stopping)
		time.AfterFunc(grace, server.Stop)
		server.GracefulStop()
	}()
	fmt.Fprintf(os.Stderr, "serving plugins at %s\n", address)
	return server.Serve(listener)
}
