//! Flux configurations. What one desires is kept as its clients wrote it; each of its kustomizations is
//! also a row among the configurations, which is all that agents and the page know of.

mod rows;

use futures::TryStreamExt as _;
use gitmoor_arm::{
    ClusterId, FieldError, FluxConfigurationId, FluxProperties, FluxRequest, IdentityType,
    ProtectedChange, ProtectedSettings, StatusReport, Timestamp, check_flux, check_kept,
};
use serde_json::Value;
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Condition, Page, PutError, Store, StoreError, Summary,
    audit::{self, Action, By, Change},
    changes::Told,
    configurations::MAX_PAGE_BYTES,
};
use rows::flux_columns;

/// A Flux configuration, with what its parts reported.
#[derive(Clone, Debug)]
pub(crate) struct FluxRecord {
    pub(crate) id: FluxConfigurationId,
    pub(crate) etag: String,
    pub(crate) properties: FluxProperties,
    pub(crate) created_by: String,
    pub(crate) created_by_type: IdentityType,
    pub(crate) created_at: Timestamp,
    pub(crate) last_modified_by: String,
    pub(crate) last_modified_by_type: IdentityType,
    pub(crate) last_modified_at: Timestamp,
    pub(crate) parts: Vec<FluxPart>,
}

/// The configuration of a kustomization.
#[derive(Clone, Debug)]
pub(crate) struct FluxPart {
    pub(crate) name: String,
    /// What its agent last reported, in few words with its dates.
    pub(crate) summary: Option<Summary>,
    /// The same in full, of as many parts as there is room for.
    pub(crate) report: Option<StatusReport>,
}

/// What became of a PUT.
#[derive(Debug)]
pub(crate) enum FluxWritten {
    Created(FluxRecord),
    Replaced(FluxRecord),
}

fn keys(id: &FluxConfigurationId) -> (String, String) {
    (
        id.cluster().as_str().to_ascii_lowercase(),
        id.name().to_ascii_lowercase(),
    )
}

impl Store {
    /// Makes or replaces a Flux configuration and its parts. What is already as asked is left as it is,
    /// with its etag, its dates and its status: the whole, and each of the parts.
    pub(crate) async fn put_flux(
        &self,
        id: &FluxConfigurationId,
        request: FluxRequest,
        by: &By,
        condition: &Condition,
    ) -> Result<FluxWritten, PutError> {
        let (cluster, name) = keys(id);
        let mut transaction = self.database.begin(&cluster).await?;
        let old = self.find_flux(&mut transaction, &cluster, &name).await?;
        let etag = old.as_ref().map(|(old, _)| old.etag.as_str());
        if !condition.holds(etag) {
            return Err(PutError::Condition);
        }
        let properties = request.properties;
        let old_settings = old.as_ref().map(|(_, settings)| settings.clone());
        let keeps = request.protected == ProtectedChange::Keep;
        let settings = request.protected.apply(old_settings);
        let checked = if old.is_some() { &name } else { id.name() };
        let mut errors = check_flux(checked, &properties, &settings);
        if let Some((old, old_settings)) = &old {
            errors.extend(moved(&old.properties, &properties));
            let [from, to] = [&old.properties, &properties].map(|one| &one.git_repository.url);
            let kept = check_kept(old_settings, from, to).filter(|_| keeps);
            errors.extend(kept.map(|error| FieldError {
                field: "properties.gitRepository.url".to_owned(),
                ..error
            }));
        }
        errors.extend(
            self.taken(&mut transaction, id, &cluster, &name, &properties)
                .await?,
        );
        let errors = FieldError::join(request.unread, errors);
        if !errors.is_empty() {
            return Err(PutError::Invalid(errors));
        }
        if let Some((old, old_settings)) = &old
            && old.properties == properties
            && *old_settings == settings
        {
            let mut same = old.clone();
            same.parts = self.parts(&mut transaction, &cluster, &name).await?.0;
            return Ok(FluxWritten::Replaced(same));
        }
        let now = Timestamp::now();
        let mut record = FluxRecord {
            id: id.clone(),
            etag: Uuid::new_v4().to_string(),
            properties,
            created_by: by.name.clone(),
            created_by_type: by.kind.clone(),
            created_at: now,
            last_modified_by: by.name.clone(),
            last_modified_by_type: by.kind.clone(),
            last_modified_at: now,
            parts: Vec::new(),
        };
        if let Some((old, _)) = &old {
            record.id = old.id.clone();
            record.created_by.clone_from(&old.created_by);
            record.created_by_type = old.created_by_type.clone();
            record.created_at = old.created_at;
        }
        self.write_parts(&mut transaction, &cluster, &name, &record, &settings)
            .await?;
        self.write_flux(&mut transaction, &cluster, &name, &record, &settings)
            .await?;
        let change = Change {
            by,
            action: Action::PutFluxConfiguration,
            resource: record.id.as_str(),
            before: old.as_ref().map(|(old, settings)| old.audited(settings)),
            after: Some(after(
                &record,
                old.as_ref().map(|(_, settings)| settings),
                &settings,
            )),
        };
        change.record(&self.sealing, &mut transaction).await?;
        record.parts = self.parts(&mut transaction, &cluster, &name).await?.0;
        self.commit(transaction, Told::Desired(cluster)).await?;
        Ok(match old {
            None => FluxWritten::Created(record),
            Some(_) => FluxWritten::Replaced(record),
        })
    }

    /// The Flux configuration, if there is one.
    pub(crate) async fn flux(
        &self,
        id: &FluxConfigurationId,
    ) -> Result<Option<FluxRecord>, StoreError> {
        let (cluster, name) = keys(id);
        let mut connection = self.database.readers.acquire().await?;
        let found = self.find_flux(&mut connection, &cluster, &name).await?;
        let Some((mut record, _)) = found else {
            return Ok(None);
        };
        record.parts = self.parts(&mut connection, &cluster, &name).await?.0;
        Ok(Some(record))
    }

    /// Deletes it with its parts; whether there was one.
    pub(crate) async fn delete_flux(
        &self,
        id: &FluxConfigurationId,
        by: &By,
        condition: &Condition,
    ) -> Result<bool, PutError> {
        let (cluster, name) = keys(id);
        let mut transaction = self.database.begin(&cluster).await?;
        let old = self.find_flux(&mut transaction, &cluster, &name).await?;
        if !condition.holds(old.as_ref().map(|(old, _)| old.etag.as_str())) {
            return Err(PutError::Condition);
        }
        let Some((old, settings)) = old else {
            return Ok(false);
        };
        let change = Change {
            by,
            action: Action::DeleteFluxConfiguration,
            resource: old.id.as_str(),
            before: Some(old.audited(&settings)),
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        for query in [
            "DELETE FROM configuration WHERE cluster = $1 AND flux = $2",
            "DELETE FROM flux_configuration WHERE cluster = $1 AND name = $2",
        ] {
            sqlx::query(query)
                .bind(&cluster)
                .bind(&name)
                .execute(&mut *transaction)
                .await?;
        }
        self.commit(transaction, Told::Desired(cluster)).await?;
        Ok(true)
    }

    /// The Flux configurations of a cluster.
    pub(crate) async fn flux_list(
        &self,
        cluster: &ClusterId,
        after: &str,
        limit: u32,
    ) -> Result<Page<FluxRecord>, StoreError> {
        let cluster = cluster.as_str().to_ascii_lowercase();
        let mut connection = self.database.readers.acquire().await?;
        let mut rows = sqlx::query(concat!(
            "SELECT ",
            flux_columns!(),
            " FROM flux_configuration WHERE cluster = $1 AND name > $2 ORDER BY name LIMIT $3",
        ))
        .bind(&cluster)
        .bind(after.to_ascii_lowercase())
        // One more than wanted tells whether there is a next page.
        .bind(i64::from(limit) + 1)
        .fetch(&mut *connection);
        let mut found: Vec<(String, FluxRecord)> = Vec::new();
        let (mut more, mut bytes) = (false, 0);
        while let Some(row) = rows.try_next().await? {
            if found.len() == limit as usize || bytes > MAX_PAGE_BYTES {
                more = true;
                break;
            }
            bytes += row.try_get::<&[u8], _>("properties")?.len();
            found.push((row.try_get("name")?, self.read_flux(&row)?.0));
        }
        drop(rows);
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let (mut last, mut bytes) = (String::new(), 0);
        for (name, mut record) in found {
            if bytes > MAX_PAGE_BYTES {
                more = true;
                break;
            }
            let (parts, length) = self.parts(&mut connection, &cluster, &name).await?;
            bytes += length;
            record.parts = parts;
            page.items.push(record);
            last = name;
        }
        page.next = more.then_some(last);
        Ok(page)
    }
}

/// What cannot be changed.
fn moved(old: &FluxProperties, new: &FluxProperties) -> Vec<FieldError> {
    let fields = [
        ("scope", old.scope == new.scope),
        ("namespace", old.namespace == new.namespace),
    ];
    let moved = fields.into_iter().filter(|(_, is_same)| !is_same);
    moved
        .map(|(field, _)| FieldError {
            field: format!("properties.{field}"),
            message: "it cannot be changed: delete the configuration and make it anew".into(),
        })
        .collect()
}

impl FluxRecord {
    /// The configuration for the audit log.
    fn audited(&self, settings: &ProtectedSettings) -> Value {
        audit::configuration(&self.properties, settings)
    }
}

/// The same, with the names of the secrets that are others now.
fn after(record: &FluxRecord, old: Option<&ProtectedSettings>, new: &ProtectedSettings) -> Value {
    let mut after = record.audited(new);
    let none = ProtectedSettings::default();
    let changed = audit::changed_secrets(old.unwrap_or(&none), new);
    if !changed.is_empty() {
        after["changedProtectedSettings"] = changed.into();
    }
    after
}
