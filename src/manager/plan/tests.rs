//! Plans by table and by story.
