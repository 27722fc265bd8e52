import java.io.FileInputStream;
import java.io.RandomAccessFile;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Reads files in the way named by the first argument: triples of input, output, original follow. */
public class Read {
    static byte[] read(String way, Path in) throws Exception {
        switch (way) {
            case "readAllBytes":
                return Files.readAllBytes(in);
            case "stream":
                try (var stream = new FileInputStream(in.toFile())) {
                    return stream.readAllBytes();
                }
            case "available":
                try (var stream = new FileInputStream(in.toFile())) {
                    return stream.readNBytes(stream.available());
                }
            case "length":
                try (var file = new RandomAccessFile(in.toFile(), "r")) {
                    byte[] bytes = new byte[(int) file.length()];
                    file.readFully(bytes);
                    return bytes;
                }
            case "map":
                try (var channel = FileChannel.open(in, StandardOpenOption.READ)) {
                    var map = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
                    byte[] bytes = new byte[map.remaining()];
                    map.get(bytes);
                    return bytes;
                }
            case "copy":
                Path copy = Files.createTempFile("hushfs", "copy");
                try (var out = Files.newOutputStream(copy)) {
                    Files.copy(in, out);
                    return Files.readAllBytes(copy);
                } finally {
                    Files.delete(copy);
                }
            default:
                throw new IllegalArgumentException(way);
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (int at = 1; at < arguments.length; at += 3) {
            Files.write(Path.of(arguments[at + 1]), read(arguments[0], Path.of(arguments[at])));
        }
    }
}
