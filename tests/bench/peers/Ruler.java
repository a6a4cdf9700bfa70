// Ruler.java: AWS's event-ruler on the events and rules of bench_rules: Ruler EVENTS RULES, both JSON Lines.
// Prints one line of JSON. CPU time of the process, its garbage collector included.
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import software.amazon.event.ruler.Machine;

public final class Ruler {
    private static final double WARM_NS = 2e9;
    private static final double RUN_NS = 4e8;
    private static final int ROUNDS = 5;

    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private static long matches;
    private static long matched;

    private static long usedBytes() {
        for (int i = 0; i < 3; i++) {
            System.gc();
        }
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    /** Nanoseconds an event over at least so many of them. */
    private static double match(Machine machine, List<String> events, double nanoseconds) throws Exception {
        long begun = SYSTEM.getProcessCpuTime();
        long spent;
        long count = 0;
        do {
            for (String event : events) {
                matches += machine.rulesForJSONEvent(event).size();
            }
            count += events.size();
            spent = SYSTEM.getProcessCpuTime() - begun;
        } while (spent < nanoseconds);
        matched += count;
        return (double) spent / count;
    }

    public static void main(String[] args) throws Exception {
        List<String> events = Files.readAllLines(Path.of(args[0]));
        List<String> rules = Files.readAllLines(Path.of(args[1]));
        long before = usedBytes();
        long begun = SYSTEM.getProcessCpuTime();
        Machine machine = Machine.builder().build();
        for (int i = 0; i < rules.size(); i++) {
            machine.addRule(Integer.toString(i), rules.get(i));
        }
        double compileMs = (SYSTEM.getProcessCpuTime() - begun) / 1e6;
        double bytes = usedBytes() - before;
        match(machine, events, WARM_NS);
        double[] rounds = new double[ROUNDS];
        for (int i = 0; i < ROUNDS; i++) {
            rounds[i] = match(machine, events, RUN_NS);
        }
        Arrays.sort(rounds);
        System.out.printf(Locale.ROOT,
                "{\"ns_per_event\": %.1f, \"matches_per_event\": %.3f, \"bytes_per_rule\": %.0f, \"compile_ms\": %.1f}%n",
                rounds[ROUNDS / 2], (double) matches / matched, bytes / rules.size(), compileMs);
    }
}
