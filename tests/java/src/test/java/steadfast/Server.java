package steadfast;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;

/** One server process on a port that was free, with a database file that outlives it. */
final class Server {
  private static final String BINARY =
      Optional.ofNullable(System.getenv("STEADFAST_BIN")).orElse("../../target/debug/steadfast");

  private final Path file;
  private final int port;
  private Process process;

  Server() throws Exception {
    file = Files.createTempDirectory("steadfast").resolve("steadfast.db");
    try (ServerSocket free = new ServerSocket(0)) {
      port = free.getLocalPort();
    }
    start();
  }

  String address() {
    return "127.0.0.1:" + port;
  }

  /** Returns when it takes connections. */
  void start() throws Exception {
    process =
        new ProcessBuilder(
                BINARY, "server", "start-dev", "--headless", "--ip", "127.0.0.1",
                "--port", Integer.toString(port), "--db-filename", file.toString())
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(file.resolveSibling("log").toFile()))
            .start();
    eventually("the server listens", this::listens);
  }

  /** {@code kill -9}: it can neither write nor say goodbye. */
  void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  void stop() throws InterruptedException {
    process.destroy();
    process.waitFor();
  }

  private boolean listens() {
    try (Socket ignored = new Socket("127.0.0.1", port)) {
      return true;
    } catch (IOException refused) {
      return false;
    }
  }

  /** Looks until there is something to see. */
  static void eventually(String what, Callable<Boolean> look) throws Exception {
    long until = System.nanoTime() + 30_000_000_000L;
    while (!look.call()) {
      if (System.nanoTime() > until) {
        throw new AssertionError("not within 30 s: " + what);
      }
      Thread.sleep(20);
    }
  }
}
