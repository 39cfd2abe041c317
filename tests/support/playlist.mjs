// Reads a playlist from stdin with hls-parser in strict mode and prints what it understood.
//
// usage: node playlist.mjs FOLDER_WITH_NODE_MODULES < index.m3u8
// Exit 0 and `ok segments=N sequence=N target=N ended=BOOL` (of a master `ok variants=N i_frames=N`),
// or exit 1 and the parser's complaint.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const hls = createRequire(process.argv[2] + '/')('hls-parser');
hls.setOptions({ strictMode: true });
try {
  const list = hls.parse(readFileSync(0, 'utf8'));
  if (list.isMasterPlaylist) {
    const pictures = list.variants.filter((variant) => variant.isIFrameOnly).length;
    console.log(`ok variants=${list.variants.length - pictures} i_frames=${pictures}`);
    process.exit(0);
  }
  console.log(`ok segments=${list.segments.length} sequence=${list.mediaSequenceBase}`
    + ` target=${list.targetDuration} ended=${list.endlist}`);
} catch (error) {
  console.log(String(error.message));
  process.exit(1);
}
