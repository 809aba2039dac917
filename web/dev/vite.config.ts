import vue from '@vitejs/plugin-vue'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'
import { mockService } from './mock.ts'

/** `npm run dev`: the page with a mocked service; video comes from the page itself (loopback). */
export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  plugins: [vue(), mockService()],
  server: {
    host: '127.0.0.1',
    port: 5173,
    strictPort: true,
    // Beside the page, the one folder that it has a catalogue from.
    fs: { allow: ['.', '../camera_registry/importers'] },
  },
})
