package tracing

import (
	"log/slog"

	"fosite-mcp/internal/logonce"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// reportTo has OpenTelemetry report to log what is wrong with its variables. It would write that to standard error, with the value of
// OTEL_EXPORTER_OTLP_HEADERS, which is a secret.
func reportTo(log *slog.Logger) {
	otel.SetLogger(logr.New(sink{log}))
	var said logonce.Set
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if said.First(err.Error()) {
			log.Warn("OpenTelemetry reports", "cause", err)
		}
	}))
}

// sink leaves out all values and the text of errors, which may quote one.
type sink struct{ log *slog.Logger }

// Init implements [logr.LogSink], like the methods below it.
func (sink) Init(logr.RuntimeInfo) {}

func (sink) Enabled(level int) bool { return level == 0 }

func (s sink) Info(_ int, what string, _ ...any) { s.log.Info("OpenTelemetry reports", "what", what) }

func (s sink) Error(_ error, what string, _ ...any) {
	s.log.Error("OpenTelemetry cannot use one of its variables, and goes on without; check OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_CERTIFICATE and the others that are set", "what", what)
}

func (s sink) WithValues(...any) logr.LogSink { return s }

func (s sink) WithName(string) logr.LogSink { return s }
