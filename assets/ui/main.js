/* The page's scripts, started. Gradio draws the places; what lives in them is drawn here. */
import { handed, keep, restored, sent, values, words } from "./composer.js";
import { connect } from "./bridge.js";
import { startMounting } from "./config.js";
import { startListening } from "./events.js";
import { startGallery } from "./gallery.js";
import { Header, startTabs } from "./header.js";
import { html, render } from "./html.js";
import { startKeys } from "./keys.js";
import { startModels } from "./models.js";
import { startSaying } from "./say.js";
import { startSession } from "./session.js";
import { startTheme } from "./theme.js";
import { startUnderstand } from "./understand.js";
import { startWorkspace, workspaceMounts } from "./workspace.js";

startTheme();
startSaying();
startTabs();
startKeys();
startWorkspace();
startSession();
startListening();
startMounting(
  {
    ...workspaceMounts,
    header: (element, server) => {
      connect(server);
      render(html`<${Header} />`, element);
    },
    gallery: startGallery,
    understand: startUnderstand,
    models: startModels,
  },
  { handed, keep, restored, sent, values, words },
);
