// What uzlib makes of a gzip file: its content, or how far uzlib has read when each 4096 bytes of it are out.
//
// usage: node uzlib.mjs content|consumption DIRECTORY FILE.gz
// DIRECTORY has node_modules/@micropython/micropython-webassembly-pyscript in it (npm, MIT). MicroPython's
// `deflate` module is uzlib, the inflater of eboot, compiled from C.
import fs from "fs";
import path from "path";
import { pathToFileURL } from "url";

const [mode, modules, file] = process.argv.slice(2);
const entry = path.join(modules, "node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs");
const { loadMicroPython } = await import(pathToFileURL(entry));
let text = "";
const python = await loadMicroPython({ heapsize: 64 << 20, linebuffer: true, stdout: (line) => (text += line + "\n") });
python.FS.writeFile("/packed.gz", fs.readFileSync(file));
python.runPython(`
import deflate, io

class Counting(io.IOBase):
    def __init__(self, data):
        self.data, self.at = data, 0
    def readinto(self, buffer):
        piece = self.data[self.at:self.at + len(buffer)]
        buffer[:len(piece)] = piece
        self.at += len(piece)
        return len(piece)
    def ioctl(self, request, argument):
        return 0

data = open('/packed.gz', 'rb').read()
left = int.from_bytes(data[-4:], 'little')
stream = Counting(data)
inflater = deflate.DeflateIO(stream, deflate.GZIP)
content = open('/content', 'wb')
while left > 0:
    piece = inflater.read(min(4096, left))
    if not piece:
        raise ValueError('the stream ends early')
    left -= len(piece)
    content.write(piece)
    print(stream.at)
content.close()
`);
fs.writeSync(1, mode === "content" ? python.FS.readFile("/content") : text);
